"""What is found, and what is not: flake8 checks a project in which comments say what it should find."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.migration.flake8.projects import copied, expected, flake8, options


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copied(tmp_path)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_every_effect_is_found_and_nothing_else(project: Path, jobs: str) -> None:
    ran = flake8(project, "-j", jobs, ".")
    assert sorted(ran.found) == expected(project)
    assert ran.code == 1


def test_the_project_has_every_code(project: Path) -> None:
    """Else the test above would say nothing about one of them."""
    assert Counter(finding.split()[1] for finding in expected(project)).keys() == {
        "ALK101",
        "ALK102",
        "ALK103",
        "ALK104",
        "ALK105",
    }


def test_a_finding_says_what_is_called_and_what_to_do(project: Path) -> None:
    ran = flake8(project, "shop/models.py")
    assert ran.output == (
        "shop/models.py:11:9: ALK101 receipt.delay() sends a task past the airlock: "
        "emit an intent, and let its handler do it\n"
    )


def test_effects_are_found_in_what_an_editor_pipes_in(project: Path) -> None:
    source = (project / "shop/models.py").read_text("utf-8")
    ran = flake8(project, "--stdin-display-name", "shop/models.py", "-", stdin=source)
    assert ran.found == ["shop/models.py:11 ALK101"]


class TestAllowing:
    """Some effects are where they should be."""

    def test_paths_are_allowed_by_name_and_by_pattern(self, project: Path) -> None:
        """As those of flake8's ``exclude`` they are relative to the configuration."""
        options(project, airlock_allow="handlers.py, shop/management/*, ./tests/*")
        allowed = ("shop/handlers.py", "shop/management/", "tests/")
        left = [finding for finding in expected(project) if not finding.startswith(allowed)]
        assert sorted(flake8(project, ".").found) == left
        assert flake8(project / "shop", "handlers.py", "management").found == []

    def test_codes_are_ignored_by_file_as_any_other(self, project: Path) -> None:
        options(project, per_file_ignores="tests/*:ALK\n    shop/mails.py:ALK102")
        assert flake8(project, "tests", "shop/mails.py").found == []

    def test_a_comment_allows_one_call_and_can_be_disabled(self, project: Path) -> None:
        assert len(flake8(project, "shop/allowed.py").found) == 1
        assert len(flake8(project, "--disable-noqa", "shop/allowed.py").found) == 4


class TestNames:
    """A project has effects of its own."""

    def test_a_function_is_found_however_it_is_imported(self, project: Path) -> None:
        options(project, airlock_names="shop.notify.notify_warehouse")
        assert flake8(project, "shop/views.py", "--select=ALK106").found == [
            "shop/views.py:17 ALK106",
            "shop/views.py:18 ALK106",
            "shop/views.py:19 ALK106",
        ]

    def test_it_is_found_as_well_from_another_folder(self, project: Path) -> None:
        """With a path that says more, or less, of the packages."""
        options(project, airlock_names="shop.notify.*")
        for folder, path in ((project / "shop", "views.py"), (project, str(project / "shop"))):
            codes = flake8(folder, path, "--config", str(project / "setup.cfg")).codes
            assert codes.count("ALK106") >= 1, path

    def test_a_star_means_all_of_a_module_there_too(self, project: Path) -> None:
        options(project, airlock_names="shop.notify.*")
        ran = flake8(project, "shop/views.py", "shop/notify.py", "--select=ALK106")
        assert [finding.partition(" ")[0] for finding in ran.found] == [
            "shop/notify.py:8",
            *(f"shop/views.py:{line}" for line in (17, 18, 19, 20)),
        ]

    def test_methods_and_other_libraries_can_be_named(self, project: Path) -> None:
        options(project, airlock_names=".publish, requests.post")
        assert flake8(project, "shop/views.py", "shop/notify.py", "--select=ALK106").found == [
            "shop/notify.py:7 ALK106",
            "shop/notify.py:13 ALK106",
            "shop/views.py:21 ALK106",
            "shop/views.py:22 ALK106",
        ]

    def test_methods_of_one_class_can_be_named(self, project: Path) -> None:
        """Of what is made by it, or annotated so."""
        options(project, airlock_names="shop.bus.Bus.publish")
        (project / "shop/buses.py").write_text(
            "from shop.bus import Bus\n\n\ndef send(bus: Bus, other):\n    bus.publish(1)\n"
            "    Bus().publish(2)\n    other.publish(3)\n    Bus().open().publish(4)\n",
            "utf-8",
        )
        assert flake8(project, "shop/buses.py").found == [
            "shop/buses.py:5 ALK106",
            "shop/buses.py:6 ALK106",
        ]

    @pytest.mark.parametrize("name", ["shop/notify.py", "shop..notify", ".shop.notify", "*"])
    def test_what_can_be_no_name_is_refused(self, project: Path, name: str) -> None:
        ran = flake8(project, f"--airlock-names={name}", "shop")
        assert f"airlock: airlock-names has '{name}'. Write module.function," in ran.output
        assert ran.code == 1
