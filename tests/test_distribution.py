"""A release: the sdist and the wheel that is built from it, installed where there is no checkout."""

from __future__ import annotations

import email
import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
NAME = f"airlock_effects-{PROJECT['version']}"

LOOK = """
from importlib import metadata
from importlib.resources import files
from pathlib import Path

import airlock

distribution = metadata.distribution("airlock-effects")
print(Path(airlock.__file__).parent)
print(files("airlock").joinpath("py.typed").is_file())
print(distribution.version)
print([str(file) for file in distribution.files if "licenses" in str(file)])
"""
A_TEST = """
from airlock import emit, intent


@intent
class NotifyWarehouse:
    order_id: int


def test_the_fixture_is_there(effects):
    emit(NotifyWarehouse(42))
    assert effects == [NotifyWarehouse(42)]
"""


@attrs.frozen
class Installed:
    """The sdist, unpacked, and an environment with the wheel."""

    source: Path
    environment: Path

    @property
    def packages(self) -> Path:
        scheme = {"base": str(self.environment), "platbase": str(self.environment)}
        return Path(sysconfig.get_path("purelib", "venv", vars=scheme))

    def run(self, *command: str, folder: Path, env: Mapping[str, str] = {}) -> str:
        """Run a command of the environment, and return what it prints."""
        program, *arguments = command
        return call(self.environment / "bin" / program, *arguments, folder=folder, env=env)


def call(*command: str | Path, folder: Path, env: Mapping[str, str] = {}) -> str:
    """Run a command, and return what it prints."""
    ran = subprocess.run(
        command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("distribution")
    # The wheel is built from the sdist; this environment has what builds them, so that no network is needed.
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, folder=folder)
    with tarfile.open(folder / f"{NAME}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    environment = folder / "environment"
    venv.create(environment)
    made = Installed(folder / NAME, environment)
    # Its dependencies are those of this environment, without the checkout that is installed here.
    made.packages.joinpath("dependencies.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", environment / "bin/python"]
    wheel = folder / f"{NAME}-py3-none-any.whl"
    call(
        *pip, "install", "--quiet", "--no-compile", "--no-deps", "--no-index", wheel, folder=folder
    )
    return made


def test_the_wheel_has_the_package_its_types_its_version_and_its_license(
    installed: Installed, tmp_path: Path
) -> None:
    place, typed, version, licenses = installed.run(
        "python", "-W", "error", "-c", LOOK, folder=tmp_path
    ).splitlines()
    assert Path(place) == installed.packages / "airlock"
    assert typed == "True"
    assert version == PROJECT["version"]
    assert licenses == f"['{NAME}.dist-info/licenses/LICENSE']"


def test_the_command_is_installed(installed: Installed, tmp_path: Path) -> None:
    assert PROJECT["version"] in installed.run("airlock", "--version", folder=tmp_path)


def test_pytest_finds_the_plugin(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text(A_TEST, "utf-8")
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    told = installed.run(
        "python", "-m", "pytest", "-p", "airlock", "-W", "error", folder=tmp_path, env=alone
    )
    assert "1 passed" in told


def test_the_tests_of_the_sdist_run_against_the_wheel(installed: Installed) -> None:
    chosen = ["tests/test_reference.py", "tests/effects/test_policies.py", "docs/index.md"]
    installed.run("python", "-m", "pytest", "-q", *chosen, folder=installed.source)


def test_the_metadata_is_ready_for_the_index(installed: Installed) -> None:
    metadata = email.message_from_string((installed.source / "PKG-INFO").read_text("utf-8"))
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Description-Content-Type"] == "text/markdown"
    changes = (installed.source / "CHANGELOG.md").read_text("utf-8")
    assert f"- {PROJECT['version']}" in changes or f"[{PROJECT['version']}]" in changes
