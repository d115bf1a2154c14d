"""The setting ``AIRLOCK``: what it may say, and what is refused with what text."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings

from airlock import Boundary
from airlock.errors import SettingError
from airlock.integrations.base import SLOW, keep_web
from airlock.integrations.django.conf import conf, problems
from tests.integrations.django import pages

PAGES = "tests.integrations.django.pages"
BOUNDARY = f"{PAGES}.boundary"


def keep(error: BaseException | None, status: int) -> bool:
    return True


def headers(request: Any) -> Mapping[str, str]:
    return {}


def broken() -> Boundary:
    raise KeyError("DATABASE_URL")


number = 42


def test_nothing_but_the_boundary_is_needed() -> None:
    with override_settings(AIRLOCK={"BOUNDARY": BOUNDARY}):
        now = conf()
    assert now.boundary is pages.boundary
    assert (now.database, now.keep, now.headers) == ("default", keep_web, None)
    assert (now.on_flush_error, now.no_scope, now.commands) == ("report", "raise", {})
    assert now.slow == SLOW


@pytest.mark.parametrize(
    "given", [f"{PAGES}:boundary", f"{PAGES}.make", f"{PAGES}:make", pages.make, pages.boundary]
)
def test_the_boundary_may_be_made_by_a_function_or_given(given: Any) -> None:
    with override_settings(AIRLOCK={"BOUNDARY": given}):
        assert conf().boundary is pages.boundary


def test_everything_can_be_said() -> None:
    said = {
        "BOUNDARY": BOUNDARY,
        "DATABASE": "other",
        "KEEP": f"{__name__}:keep",
        "HEADERS": headers,
        "ON_FLUSH_ERROR": "raise",
        "NO_SCOPE": "drop",
        "COMMANDS": {"*": "run", "loaddata": "drop", "consume": None},
        "SLOW": timedelta(seconds=1),
    }
    with override_settings(AIRLOCK=said):
        now = conf()
    assert (now.database, now.keep, now.headers) == ("other", keep, headers)
    assert (now.on_flush_error, now.no_scope) == ("raise", "drop")
    assert now.commands == {"*": "run", "loaddata": "drop", "consume": None}
    assert now.slow == timedelta(seconds=1)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({}, "'BOUNDARY' is missing"),
        ({"BOUNDRY": BOUNDARY}, "'BOUNDRY' is no setting of it. Did you mean 'BOUNDARY'?"),
        ({"boundary": BOUNDARY}, "'boundary' is no setting of it. Did you mean 'BOUNDARY'?"),
        ({"COLOUR": 1}, "'COLOUR' is no setting of it. Choose 'BOUNDARY', 'DATABASE', 'KEEP',"),
        ({"BOUNDARY": "shop"}, "is 'shop', which does not import: ImportError"),
        ({"BOUNDARY": "shop"}, "Write module.name, such as 'shop.effects.boundary'."),
        ({"BOUNDARY": "shpo.effects.boundary"}, "ModuleNotFoundError: No module named 'shpo'"),
        ({"BOUNDARY": "shpo.effects:boundary"}, "`python -c 'import shpo.effects'` shows where"),
        ({"BOUNDARY": f"{PAGES}.bundary"}, 'does not define a "bundary" attribute'),
        ({"BOUNDARY": f"{PAGES}.bundary"}, "Did you mean 'boundary'?"),
        ({"BOUNDARY": f"{PAGES}:bundary"}, "Did you mean 'boundary'?"),
        ({"BOUNDARY": f"{PAGES}.xyz"}, f"Define it in {PAGES}, or correct the path."),
        ({"BOUNDARY": f"{__name__}.number"}, "'BOUNDARY' is"),
        ({"BOUNDARY": f"{__name__}.broken"}, "cannot be called: KeyError: 'DATABASE_URL'"),
        ({"DATABASE": "defualt"}, "is not in DATABASES. Did you mean 'default'?"),
        ({"DATABASE": "xyz"}, "Choose 'default'"),
        ({"DATABASE": 1}, "'DATABASE' is 1, which is not in DATABASES"),
        ({"KEEP": "always"}, "'KEEP' is 'always', which does not import"),
        ({"KEEP": True}, "Name a function of (error, status) that returns a bool"),
        ({"KEEP": headers}, "'KEEP' cannot be called as it will be: too many positional"),
        ({"HEADERS": keep}, "'HEADERS' cannot be called as it will be: missing a required"),
        ({"ON_FLUSH_ERROR": "reprot"}, "'ON_FLUSH_ERROR' is 'reprot'. Did you mean 'report'?"),
        ({"NO_SCOPE": "ignore"}, "'NO_SCOPE' is 'ignore'. Choose 'raise', 'run' or 'drop'."),
        ({"NO_SCOPE": ["run"]}, "'NO_SCOPE' is ['run']"),
        ({"COMMANDS": "drop"}, "'COMMANDS' is"),
        ({"COMMANDS": {"loaddata": "skip"}}, "has 'skip' for 'loaddata'"),
        ({"COMMANDS": {"loaddata": "plan:x"}}, "airlock run --plan FILE -- manage.py loaddata"),
        ({"SLOW": 100}, "Give a timedelta"),
    ],
)
def test_what_makes_no_sense_is_refused(said: dict[str, Any], told: str) -> None:
    said = said if {"BOUNDARY", "BOUNDRY", "boundary"} & {*said} or not said else {
        "BOUNDARY": BOUNDARY, **said
    }  # fmt: skip
    with override_settings(AIRLOCK=said), pytest.raises(SettingError) as raised:
        conf()
    assert "settings.AIRLOCK: " in str(raised.value)
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("said", "told"), [(None, "is missing"), (["BOUNDARY"], "is a list, not a dict")]
)
def test_it_is_a_dict(said: Any, told: str) -> None:
    with override_settings(AIRLOCK=said), pytest.raises(SettingError, match=told):
        conf()


def test_all_problems_are_told_at_once() -> None:
    with override_settings(AIRLOCK={"BOUNDARY": "x", "KEEP": 1, "SLOW": 1, "COLOUR": 1}):
        assert {error.name for error in problems()} == {"COLOUR", "BOUNDARY", "KEEP", "SLOW"}


def test_a_function_that_makes_the_boundary_is_called_once() -> None:
    made: list[Boundary] = []

    def factory() -> Boundary:
        made.append(Boundary({}))
        return made[-1]

    with override_settings(AIRLOCK={"BOUNDARY": factory}):
        assert problems() == []
        assert conf() is conf()
        assert problems() == []
    assert len(made) <= 2


def test_the_settings_are_read_anew_when_a_test_overrides_them() -> None:
    with override_settings(AIRLOCK={"BOUNDARY": BOUNDARY}):
        assert conf().database == "default"
        with override_settings(AIRLOCK={"BOUNDARY": BOUNDARY, "DATABASE": "other"}):
            assert conf().database == "other"
        assert conf().database == "default"


def test_importing_needs_no_settings() -> None:
    code = (
        "from airlock.integrations.django import EffectsMiddleware, EffectsMixin, on_commit\n"
        "import airlock.integrations.django as app, sys\n"
        "assert 'counts' in dir(app) and 'django.test' not in sys.modules\n"
        "try: app.nothing\n"
        "except AttributeError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.stderr == ""
    assert "has no attribute 'nothing'" in done.stdout


def test_without_django_the_extra_is_named() -> None:
    code = (
        "import sys\nsys.modules['django'] = None\n"
        "try: import airlock.integrations.django\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=600
    )
    assert "pip install 'airlock-effects[django]'" in done.stdout
