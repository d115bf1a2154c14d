"""docs/how-to/django.md, followed: in the project that ``django-admin startproject`` makes."""

from __future__ import annotations

from pathlib import Path

from tests.docs.reader import Reader

URLS = """
from django.urls import path
from shop.views import place

urlpatterns = [path("place", place)]
"""


def test_in_a_new_project(tmp_path: Path) -> None:
    reader = Reader("how-to/django.md", tmp_path)
    reader.types("django-admin startproject settings .")
    reader.write("shop/__init__.py", "")
    # The names of the page are those of this project, and its settings come below Django's.
    theirs = (tmp_path / "settings/settings.py").read_text("utf-8")
    shown = reader.save()
    (tmp_path / "settings.py").unlink()
    apps = 'INSTALLED_APPS += ["shop"]\n'
    first, *_ = shown["settings.py"].split("\n\n\n")
    reader.write("settings/settings.py", f"{theirs}\n{apps}{first}")
    reader.write("settings/urls.py", URLS)
    reader.environ["DJANGO_SETTINGS_MODULE"] = "settings.settings"

    reader.types("python manage.py migrate --run-syncdb --verbosity 0")
    assert reader.types("python script.py") == "receipt for order 1\n"
    assert reader.types("python manage.py remind") == "reminder of order 1\n"
    reader.types("python manage.py remind --effects=plan remind.plan")
    apply = next(line for line in reader.text.splitlines() if line.startswith("$ airlock plan app"))
    assert reader.types(apply.removeprefix("$ ")) == "reminder of order 1\n1 delivered\n"

    reader.write("pytest.ini", "[pytest]\nDJANGO_SETTINGS_MODULE = settings.settings\n")
    reader.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    reader.types("python -m pytest -q -p airlock -p pytest_django.plugin test_place.py")
