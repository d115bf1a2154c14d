"""docs/how-to/enqueue-in-the-transaction.md, followed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.reader import Reader

PAGE = "how-to/enqueue-in-the-transaction.md"


def test_the_job_is_written_in_the_transaction(tmp_path: Path) -> None:
    pytest.importorskip("django_tasks_db", reason="pip install django-tasks-db")
    reader = Reader(PAGE, tmp_path)
    reader.save()
    (transcript,) = reader.consoles()
    assert reader.plays(transcript) == transcript


SETTINGS = """
SECRET_KEY = "change me"
USE_TZ = True
INSTALLED_APPS = ["django_q", "shop.apps.ShopConfig"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
Q_CLUSTER = {"orm": "default", "timeout": 60, "retry": 120}
"""


def test_so_is_that_of_django_q2(tmp_path: Path) -> None:
    """What the table says of it."""
    reader = Reader(PAGE, tmp_path)
    assert '| django-q2 with `"orm": "default"` | through the ORM | yes' in reader.text
    for name, text in reader.save().items():
        changed = text.replace("DjangoTasksDispatch", "DjangoQDispatch")
        changed = changed.replace("integrations.django_tasks", "integrations.django_q")
        changed = changed.replace("django_tasks_db.models", "django_q.models")
        reader.write(name, changed.replace("DBTaskResult", "OrmQ"))
    reader.write("settings.py", SETTINGS)
    reader.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    reader.types("python -m django migrate --run-syncdb --verbosity 0")
    assert reader.types("python place.py") == "out of stock\n1 order, 1 job\n"
