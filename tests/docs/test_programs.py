"""Pages that a reader types along in one file: it runs, and prints what the page shows.

Nothing of the test run is there, and no block that the page does not show.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conftest import normal
from docs.shown import blocks
from tests.docs.reader import DOCS, Reader

TEXT = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HIDDEN = re.compile(r"<!--.*?-->", re.DOTALL)


PROJECT = """
import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

from celery.signals import before_task_publish
from django.db import connection, models


def published(sender, body, headers, **_):
    print("sent", sender, *body[0])


before_task_publish.connect(published)


class Order(models.Model):
    class Meta:
        app_label = "shop"


with connection.schema_editor() as editor:
    editor.create_model(Order)
"""
"""A project that a page takes for granted: Django's settings, a model, and a view of the broker."""


@pytest.mark.parametrize(
    "page",
    ["celery", "dramatiq", "huey", "review-a-migration", "sqlalchemy", "wire-with-a-container"],
)
def test_typed_along(page: str, tmp_path: Path) -> None:
    assert _printed(page, tmp_path) == _shown(page)


@pytest.mark.parametrize("page", ["django-transactions", "migrate-delay-and-on-commit"])
def test_typed_along_in_a_project(page: str, tmp_path: Path) -> None:
    assert _printed(page, tmp_path, PROJECT) == _shown(page)


def _printed(page: str, folder: Path, project: str = "") -> str:
    reader = Reader(f"how-to/{page}.md", folder)
    reader.write("shop.py", "\n\n".join([project, *blocks(str(reader.path))]))
    module = f"docs.how_to.{page.replace('-', '_')}."
    return normal(reader.types("python shop.py").replace("__main__.", module))


def _shown(page: str) -> str:
    text = (DOCS / f"how-to/{page}.md").read_text("utf-8")
    return normal("".join(TEXT.findall(HIDDEN.sub("", text))))
