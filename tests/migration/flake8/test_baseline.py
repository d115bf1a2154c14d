"""The baseline: what is in it is not reported, what is not fails, what is gone is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.migration.flake8.projects import MISSING, copied, expected, flake8, options

NAME = "airlock-baseline.txt"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """With a baseline in its configuration, which is not written yet."""
    copied(tmp_path)
    options(tmp_path, airlock_baseline=NAME)
    return tmp_path


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The baseline of all that is in the project."""
    folder = copied(tmp_path_factory.mktemp("written"))
    assert flake8(folder, f"--airlock-baseline={NAME}", "--airlock-write-baseline", ".").code == 0
    return (folder / NAME).read_text("utf-8")


@pytest.fixture
def known(project: Path, written: str) -> Path:
    """With a baseline of all that is there."""
    (project / NAME).write_text(written, "utf-8")
    return project


def lines(project: Path) -> list[str]:
    """The entries of the baseline."""
    text = (project / NAME).read_text("utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


class TestWriting:
    """``--airlock-write-baseline``"""

    @pytest.mark.parametrize("jobs", ["1", "2"])
    def test_everything_found_is_written_and_then_nothing_is_reported(
        self, project: Path, jobs: str
    ) -> None:
        wrote = flake8(project, "-j", jobs, "--airlock-write-baseline", ".")
        count = len(expected(project))
        assert wrote.output == f"{NAME}: {count} effects in 19 files ({count} new, 0 gone)\n"
        assert wrote.code == 0
        checked = flake8(project, "-j", jobs, ".")
        assert (checked.output, checked.code) == ("", 0)

    def test_it_is_the_same_with_any_number_of_processes(self, project: Path) -> None:
        texts = set()
        for jobs in ("1", "2", "7"):
            flake8(project, "-j", jobs, "--airlock-write-baseline", ".")
            texts.add((project / NAME).read_text("utf-8"))
        assert len(texts) == 1

    def test_processes_that_are_spawned_find_the_baseline_too(self, known: Path) -> None:
        """As on macOS and Windows: they know nothing but the arguments."""
        edit(known / "shop/models.py", "receipt.delay(self.pk)", "receipt.delay(self.pk, 1)")
        program = (
            "import multiprocessing as m\nif __name__ == '__main__':\n"
            "    m.set_start_method('spawn')\n    from flake8.main.cli import main\n"
            "    raise SystemExit(main())\n"
        )
        (known / "spawning.py").write_text(program, "utf-8")
        for option, said in (("--count", "0\n"), ("--airlock-write-baseline", "(0 new, 0 gone)\n")):
            ran = subprocess.run(
                [sys.executable, "spawning.py", "-j2", option, "."],
                cwd=known,
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
            assert (ran.returncode, ran.stderr) == (0, "")
            assert ran.stdout.endswith(said)

    def test_a_line_says_where_what_and_how_often(self, known: Path) -> None:
        assert [line for line in lines(known) if "orders" in line and "shop/" in line] == [
            "shop/orders.py::Order.cancel ALK101 (...)()",
            "shop/orders.py::Order.cancel ALK101 archive.chunks(...)()",
            "shop/orders.py::Order.cancel ALK101 archive.delay_on_commit()",
            "shop/orders.py::Order.cancel ALK101 call()",
            "shop/orders.py::Order.cancel ALK101 current_app.send_task()",
            "shop/orders.py::Order.cancel ALK101 send_receipt.s(...).set(...).delay()",
            "shop/orders.py::Order.cancel ALK101 signature(...).delay()",
            "shop/orders.py::Order.place ALK101 partial(archive.delay)",
            "shop/orders.py::Order.place ALK101 send_receipt.delay() x2",
            "shop/orders.py::Order.place ALK101 tasks.archive.apply_async()",
            "shop/orders.py::Order.place ALK102 mail.send_mail()",
            "shop/orders.py::Order.place ALK103 transaction.on_commit(lambda)",
            "shop/orders.py::Order.place ALK103 transaction.on_commit(partial(...))",
            "shop/orders.py::Order.refund ALK101 archive.delay() x3",
        ]

    def test_lines_are_sorted(self, known: Path) -> None:
        assert lines(known) == sorted(lines(known))

    def test_what_is_allowed_is_not_written(self, project: Path) -> None:
        """Neither by a comment, nor for a file, nor as a path."""
        options(project, airlock_allow="handlers.py", per_file_ignores="shop/mails.py:ALK102")
        flake8(project, "--airlock-write-baseline", ".")
        files = {line.partition("::")[0] for line in lines(project)}
        assert not files & {"shop/handlers.py", "shop/mails.py"}
        allowed = [line for line in lines(project) if line.startswith("shop/allowed.py")]
        assert allowed == ["shop/allowed.py::on_purpose ALK101 receipt.delay()"]
        assert flake8(project, ".").output == ""

    def test_files_that_are_not_checked_keep_their_entries(self, known: Path) -> None:
        before = lines(known)
        edit(known / "shop/models.py", "receipt.delay(self.pk)", "receipt.delay_on_commit(self.pk)")
        ran = flake8(known, "--airlock-write-baseline", "shop/models.py")
        assert "(1 new, 1 gone)" in ran.output
        assert set(before) ^ set(lines(known)) == {
            "shop/models.py::Order.save ALK101 receipt.delay()",
            "shop/models.py::Order.save ALK101 receipt.delay_on_commit()",
        }

    def test_codes_that_are_not_selected_keep_their_entries(self, known: Path) -> None:
        before = lines(known)
        flake8(known, "--airlock-write-baseline", "--select=ALK102", ".")
        assert lines(known) == before
        flake8(known, "--airlock-write-baseline", "--select=E501", ".")
        assert lines(known) == before

    def test_files_that_cannot_be_parsed_keep_their_entries(self, known: Path) -> None:
        before = lines(known)
        edit(known / "shop/models.py", "def save", "def ")
        flake8(known, "--airlock-write-baseline", ".")
        assert lines(known) == before

    def test_files_that_are_gone_lose_theirs(self, known: Path) -> None:
        (known / "shop/models.py").unlink()
        ran = flake8(known, "--airlock-write-baseline", ".")
        assert "(0 new, 1 gone)" in ran.output
        assert not [line for line in lines(known) if "shop/models.py" in line]

    def test_shrinking_drops_what_is_gone_and_adds_nothing(self, known: Path) -> None:
        edit(known / "shop/models.py", "receipt.delay(self.pk)", "receipt.delay_on_commit(self.pk)")
        edit(known / "shop/orders.py", "archive.delay(self.id)  # ALK101\n            ", "")
        ran = flake8(known, "-j2", "--airlock-shrink-baseline", ".")
        assert "(0 new, 2 gone)" in ran.output
        assert "shop/orders.py::Order.refund ALK101 archive.delay() x2" in lines(known)
        assert flake8(known, ".").found == ["shop/models.py:11 ALK101"]

    def test_without_a_file_to_write_to_it_is_refused(self, tmp_path: Path) -> None:
        for option in ("--airlock-write-baseline", "--airlock-shrink-baseline"):
            ran = flake8(copied(tmp_path), option, ".")
            assert "does not know where to write. Say --airlock-baseline=FILE" in ran.output
            assert ran.code == 1

    def test_only_one_of_the_two_can_be_asked_for(self, known: Path) -> None:
        ran = flake8(known, "--airlock-write-baseline", "--airlock-shrink-baseline", ".")
        assert "--airlock-write-baseline adds what --airlock-shrink-baseline does not" in ran.output

    def test_the_formatter_is_not_for_people(self, known: Path) -> None:
        ran = flake8(known, "--format=airlock-baseline", ".")
        assert "Say --airlock-write-baseline." in ran.output

    @pytest.mark.skipif(
        "report" not in MISSING, reason="it is there where the package is installed"
    )
    def test_without_the_formatter_it_is_refused(self, project: Path) -> None:
        edit(project / "setup.cfg", "airlock-baseline = airlock.", "other = airlock.")
        ran = flake8(project, "--airlock-write-baseline", ".")
        assert "needs the formatter airlock-baseline, which flake8 does not find" in ran.output

    def test_a_file_that_cannot_be_written_is_told(self, project: Path) -> None:
        ran = flake8(
            project, f"--airlock-baseline={project}/nowhere/at/all", "--airlock-write-baseline", "."
        )
        assert "cannot be written" in ran.output
        assert ran.code == 1


class TestChecking:
    """What is new, and what is gone."""

    def test_a_new_effect_fails(self, known: Path) -> None:
        edit(known / "shop/notify.py", "    notify_all(", "    notify_all.delay(")
        ran = flake8(known, "-j2", ".")
        assert ran.found == ["shop/notify.py:8 ALK101"]
        assert ran.code == 1

    def test_one_more_of_the_same_is_the_last_one(self, known: Path) -> None:
        edit(
            known / "shop/models.py",
            "        receipt.delay(",
            "        receipt.delay(0)\n" * 1 + "        receipt.delay(",
        )
        ran = flake8(known, ".")
        assert ran.found == ["shop/models.py:12 ALK101"]
        assert "do it (1 of 2 are in the baseline)" in ran.output

    def test_the_same_in_another_function_is_new(self, known: Path) -> None:
        edit(known / "shop/models.py", "def save(", "def store(")
        assert flake8(known, ".").codes == ["ALK100", "ALK101"]

    def test_an_effect_that_is_gone_is_told_where_it_stood(self, known: Path) -> None:
        edit(known / "shop/models.py", "receipt.delay(self.pk)", "pass")
        ran = flake8(known, "-j2", ".")
        assert ran.output == (
            "./shop/models.py:7:1: ALK100 receipt.delay() (ALK101) in Order.save is in the baseline, "
            "and is gone: run flake8 --airlock-shrink-baseline ./shop/models.py\n"
        )
        assert ran.code == 1

    def test_one_less_of_several_is_told(self, known: Path) -> None:
        edit(known / "shop/orders.py", "archive.delay(self.id)  # ALK101\n            ", "")
        ran = flake8(known, ".")
        assert ran.codes == ["ALK100"]
        assert "is in the baseline 3 times, and is found only 2" in ran.output

    def test_where_the_function_is_gone_it_is_told_at_the_first_line(self, known: Path) -> None:
        (known / "shop/models.py").write_text("", "utf-8")
        assert flake8(known, ".").found == ["shop/models.py:1 ALK100"]

    def test_what_gets_allowed_is_gone(self, known: Path) -> None:
        """By a comment, or as a path: its entry would let another one in."""
        edit(known / "shop/models.py", "# ALK101", "# noqa: ALK101")
        assert flake8(known, ".").codes == ["ALK100"]
        assert flake8(known, "--disable-noqa", "shop/models.py").codes == []
        assert set(flake8(known, "--airlock-allow=models.py,signals.py", "shop").found) == {
            "shop/models.py:1 ALK100",
            "shop/signals.py:1 ALK100",
        }

    def test_a_comment_does_not_use_up_an_entry(self, known: Path) -> None:
        edit(
            known / "shop/models.py",
            "        receipt.delay(",
            "        receipt.delay(0)  # noqa: ALK101\n        receipt.delay(",
        )
        assert flake8(known, ".").output == ""

    def test_gone_entries_can_be_ignored_like_any_code(self, known: Path) -> None:
        edit(known / "shop/models.py", "receipt.delay(self.pk)", "pass")
        assert flake8(known, "--extend-ignore=ALK100", ".").code == 0

    def test_paths_are_relative_to_the_baseline_wherever_flake8_runs(self, known: Path) -> None:
        for folder, path in (
            (known / "shop", "."),
            (known / "shop", "orders.py"),
            (known, str(known / "shop")),
        ):
            assert flake8(folder, "--config", str(known / "setup.cfg"), path).output == ""

    def test_on_the_command_line_it_is_relative_to_the_current_folder(self, known: Path) -> None:
        ran = flake8(known / "shop", f"--airlock-baseline=../{NAME}", "orders.py")
        assert ran.output == ""

    def test_a_baseline_may_stand_beside_the_sources(self, known: Path) -> None:
        folder = known / "lint"
        folder.mkdir()
        flake8(known, "--airlock-baseline=lint/known.txt", "--airlock-write-baseline", ".")
        assert "../shop/models.py::Order.save" in (folder / "known.txt").read_text("utf-8")
        assert flake8(known, "--airlock-baseline=lint/known.txt", ".").output == ""

    def test_what_an_editor_pipes_in_is_known_too(self, known: Path) -> None:
        source = (known / "shop/orders.py").read_text("utf-8")
        ran = flake8(known, "--stdin-display-name=shop/orders.py", "-", stdin=source)
        assert ran.output == ""


class TestBadFiles:
    """A bad baseline is refused before anything is checked: it must not pass for an empty one."""

    def test_a_missing_file(self, project: Path) -> None:
        ran = flake8(project, ".")
        assert ran.output == (
            "There was a critical error during execution of Flake8:\n"
            f"airlock: the baseline {NAME} is not there.\n"
            "Write it: flake8 --airlock-write-baseline FOLDER\n"
        )
        assert ran.code == 1

    @pytest.mark.parametrize(
        ("line", "problem"),
        [
            ("shop/models.py ALK101", "is not of the form path::name CODE call xCOUNT"),
            ("shop/models.py::save ALK101 a.delay() x0", "is not of the form"),
            ("shop/models.py::save ALK999 a.delay()", "ALK999 is none of ALK101, ALK102,"),
            ("shop/models.py::save ALK100 a.delay()", "ALK100 is none of ALK101, ALK102,"),
            ("<<<<<<< HEAD", "a conflict of a merge is left: <<<<<<< HEAD"),
        ],
    )
    def test_bad_lines(self, known: Path, line: str, problem: str) -> None:
        """Also when it is to be written: what stands there might be lost."""
        before = f"# known\n{line}\n"
        (known / NAME).write_text(before, "utf-8")
        for arguments in (["-j2"], ["--airlock-write-baseline"], ["--airlock-shrink-baseline"]):
            ran = flake8(known, *arguments, ".")
            assert f"airlock: the baseline {NAME} cannot be used:\n  line 2: " in ran.output
            assert problem in ran.output
            assert ran.code == 1
        assert (known / NAME).read_text("utf-8") == before

    def test_many_bad_lines_are_cut_short(self, known: Path) -> None:
        (known / NAME).write_text("nonsense\n" * 30, "utf-8")
        ran = flake8(known, ".")
        assert ran.output.count("nonsense") == 10
        assert "and 20 more" in ran.output

    def test_no_text_at_all(self, known: Path) -> None:
        (known / NAME).write_bytes(b"\xff\xfe\x00")
        assert "cannot be read: 'utf-8' codec" in flake8(known, ".").output

    def test_entries_of_a_file_that_is_gone(self, known: Path) -> None:
        """No file would be checked that could tell of them."""
        (known / "shop/models.py").rename(known / "shop/orders_models.py")
        ran = flake8(known, ".")
        assert "cannot be used:\n  shop/models.py is not there any more\n" in ran.output
        assert "Where a file was moved, correct its path" in ran.output
        edit(known / NAME, "shop/models.py", "shop/orders_models.py")
        assert flake8(known, ".").output == ""

    def test_a_line_that_a_merge_left_twice_is_told(self, known: Path) -> None:
        """Counts add up, and are compared as ever."""
        (line,) = [line for line in lines(known) if "shop/models.py" in line]
        edit(known / NAME, line, f"{line}\n{line}")
        assert flake8(known, ".").codes == ["ALK100"]
