"""The command ``airlock`` in a Django project, whose handlers import models."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from docs.shown import written

PROJECT = {
    "settings.py": """
SECRET_KEY = "of the tests"
INSTALLED_APPS = ["shop", "airlock.integrations.django"]
AIRLOCK = {"BOUNDARY": "shop.effects.boundary"}
MIDDLEWARE = ["airlock.integrations.django.EffectsMiddleware"]
""",
    "shop/__init__.py": "",
    "shop/intents.py": """
from airlock import intent


@intent(kind="shop.welcome")
class Welcome:
    pk: int
""",
    "shop/models.py": "from django.db import models\n\n\nclass User(models.Model): ...\n",
    "shop/effects.py": """
from airlock import Boundary
from shop.intents import Welcome
from shop.models import User


def welcome(intent: Welcome) -> None:
    User.objects.get(pk=intent.pk)


boundary = Boundary({Welcome: welcome})


def make() -> Boundary:
    return boundary
""",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(written(PROJECT, str(tmp_path_factory.mktemp("shop"))))


def typed(project: Path, *words: str, settings: str | None = "settings") -> tuple[int, str]:
    """How a command exits, and what it prints."""
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    if settings is not None:
        environment["DJANGO_SETTINGS_MODULE"] = settings
    done = subprocess.run(
        [sys.executable, "-m", "airlock", *words],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("check", "shop.effects:boundary"),
        ("check", "shop.effects:make"),
        ("check", "airlock.integrations.django:boundary"),
        ("handlers", "shop.effects:boundary"),
        ("graph", "shop.effects:boundary"),
        ("intents", "shop.effects"),
        ("schema", "shop.effects"),
    ],
    ids=" ".join,
)
def test_modules_may_import_models(project: Path, words: tuple[str, ...]) -> None:
    """Django is set up, as the environment says it is to be."""
    code, printed = typed(project, *words)
    assert code == 0, printed
    assert "shop.welcome" in printed or "the wiring is complete" in printed


def test_without_settings_one_reads_what_to_set(project: Path) -> None:
    """The error is Django's, and names no variable."""
    code, printed = typed(project, "check", "shop.effects:boundary", settings=None)
    assert code == 2
    assert "DJANGO_SETTINGS_MODULE is not set. Set it to the module of your settings" in printed


def test_settings_that_do_not_import(project: Path) -> None:
    """It is they that are wrong, and not the target."""
    code, printed = typed(project, "check", "shop.effects:boundary", settings="misspelt")
    assert code == 2
    assert "Django cannot be set up with DJANGO_SETTINGS_MODULE=misspelt:" in printed
    assert "No module named 'misspelt'" in printed
