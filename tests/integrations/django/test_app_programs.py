"""A project in a folder of its own, as the page shows it: its commands, and its servers."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from docs.shown import files, written
from tests.cli.transcripts import measuring, played

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "django.md"
CONSOLE = re.compile(r"(?<=^```console\n)\$ (?!pip).*?(?=^```$)", re.MULTILINE | re.DOTALL)

BEFORE = """
import os

SECRET_KEY = "of the tests"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.sqlite3"}}
INSTALLED_APPS = ["shop"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
"""
# The servers of the tests answer more than the page shows.
MORE = {
    "urls.py": """
import asyncio

import airlock
from django.http import HttpResponse
from django.urls import path
from shop.effects import Remind
from shop.views import place


def crash(request):
    scope = airlock.integrations.django.conf.conf().boundary.scope()
    scope.enter()
    airlock.emit(Remind(0))
    raise KeyError


async def remind(request, number):
    await asyncio.sleep(0)
    airlock.emit(Remind(number))
    return HttpResponse("reminded")


urlpatterns = [path("place", place), path("crash", crash), path("remind/<int:number>", remind)]
""",
    "manage.py": """
import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
execute_from_command_line(sys.argv)
""",
    "wsgi.py": """
import os
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
application = get_wsgi_application()
""",
    "asgi.py": """
import os
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
application = get_asgi_application()
""",
    "settings_in_the_wrong_order.py": """
from settings import *

MIDDLEWARE = [*MIDDLEWARE, "django.middleware.locale.LocaleMiddleware"]
""",
    "shop/__init__.py": "",
    "shop/management/__init__.py": "",
    "shop/management/commands/__init__.py": "",
    "shop/management/commands/legacy.py": """
from django.core.management.base import BaseCommand
from shop.models import Order


class Command(BaseCommand):
    def handle(self, **options):
        Order(email="legacy@example.org").place()
""",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the page, with what every project has."""
    tmp_path = tmp_path_factory.mktemp("shop")
    shown = files(str(PAGE))
    # What the page says of commands and of no scope comes later than the rest.
    first, *later = re.split(r"\n\n\n?(?=# settings)", shown["settings.py"])
    shown["settings.py"] = BEFORE + first
    (tmp_path / "later.py").write_text("\n".join(later))
    folder = Path(written(shown | MORE, str(tmp_path)))
    typed(folder, "migrate", "--run-syncdb", "--verbosity=0")
    orders = "from shop.models import Order; Order(email='a').save(); Order(email='b').save()"
    typed(folder, "shell", "-c", orders)
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    """A copy of it for each test."""
    return Path(shutil.copytree(made, tmp_path, dirs_exist_ok=True))


def environment() -> dict[str, str]:
    return os.environ | measuring() | {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def typed(folder: Path, *words: str, code: int = 0) -> str:
    """What ``manage.py`` prints."""
    done = subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def setting(folder: Path, text: str) -> None:
    with (folder / "settings.py").open("a") as file:
        file.write(f"\n{text}\n")


def test_what_the_page_shows_is_true(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands are typed one after the other, in one folder."""
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "settings")
    text = PAGE.read_text("utf-8")
    found = CONSOLE.sub(lambda block: played(block[0], project), text)
    if os.environ.get("AIRLOCK_WRITE_GOLDEN"):
        PAGE.write_text(found, "utf-8")
    assert found == PAGE.read_text("utf-8")


OLD = {
    "factories.py": """
from shop.models import Order


def order(**fields):
    made = Order(**{"email": "ann@example.org"} | fields)
    made.place()
    return made
""",
    "conftest.py": """
import pytest
from factories import order


@pytest.fixture(scope="session")
def archive(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        made = order()
        yield made
        order(email="torn down").delete()
        made.delete()


@pytest.fixture(scope="module")
def shelf(archive):
    return [archive]
""",
    "test_old.py": """
import threading
from unittest import mock

import pytest
from django.db import transaction
from django.test import TestCase, TransactionTestCase
from factories import order
from shop.models import Order


class AboutSomethingElse(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ann = order()

    @classmethod
    def setUpTestData(cls):
        cls.bob = order(email="bob@example.org")

    def setUp(self):
        order(email="eve@example.org")

    def test_a_query(self):
        assert Order.objects.count() == 3

    def test_a_view(self):
        assert self.client.get("/place", {"email": "a@example.org"}).status_code == 200


class AboutSomethingElseWithCommits(TransactionTestCase):
    def test_a_command(self):
        with transaction.atomic():
            order()
        assert Order.objects.exists()


def test_a_fixture_of_the_session(db, shelf):
    order()
    assert shelf[0].pk


@pytest.mark.effects("allow")
class Watching(TestCase):
    @classmethod
    def setUpTestData(cls):
        with mock.patch("shop.effects.print", create=True):
            cls.ann = order()

    def setUp(self):
        self.sent = self.enterContext(mock.patch("shop.effects.print", create=True))

    def test_a_model(self):
        order()
        assert self.sent.call_count == 1

    def test_a_transaction(self):
        with transaction.atomic():
            order()
            assert self.sent.call_count == 0
        assert self.sent.call_count == 1

    def test_what_is_rolled_back(self):
        with pytest.raises(ValueError), transaction.atomic():
            order()
            raise ValueError
        assert self.sent.call_count == 0

    def test_callbacks_that_are_captured(self):
        with self.captureOnCommitCallbacks(execute=True):
            with transaction.atomic():
                transaction.on_commit(order)
        assert self.sent.call_count == 1

    def test_a_view(self):
        self.client.get("/place", {"email": "a@example.org"})
        assert self.sent.call_count == 1


@pytest.mark.effects("allow")
class WatchingCommits(TransactionTestCase):
    def test_a_model(self):
        with mock.patch("shop.effects.print", create=True) as sent:
            transaction.on_commit(order)
        sent.assert_called_once()
""",
}


def pytest_(folder: Path, *words: str, code: int = 0) -> str:
    """What pytest prints."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--no-migrations", *words],
        cwd=folder,
        env=environment() | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


PLUGINS = ("-pairlock", "-pdjango")


def test_the_tests_of_the_page_pass(project: Path) -> None:
    printed = pytest_(project, *PLUGINS)
    assert "2 passed" in printed


def test_old_tests_that_follow_the_page_pass(project: Path) -> None:
    """And nothing is delivered but in those that watch it."""
    written(OLD, str(project))
    printed = pytest_(project, *PLUGINS, "-s", "test_old.py")
    assert "10 passed" in printed
    assert "receipt for order" not in printed
    # It is what the page says that they need.
    project.joinpath("pytest.ini").write_text("[pytest]\nDJANGO_SETTINGS_MODULE = settings\n")
    assert "NoScopeError" in pytest_(project, *PLUGINS, "test_old.py", code=1)


def test_old_tests_of_the_runner_of_django_pass(project: Path) -> None:
    """It knows nothing of pytest's settings: what is emitted in no scope is delivered, as before."""
    written(OLD | {"conftest.py": ""}, str(project))
    old = project / "test_old.py"
    old.write_text(old.read_text().replace('@pytest.mark.effects("allow")\n', ""))
    printed = typed(project, "test", "test_old", "--settings=settings_for_tests")
    assert "Ran 9 tests" in printed
    assert "OK" in printed


def test_the_program_of_the_page_has_a_release(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=project,
        env=environment() | {"DJANGO_SETTINGS_MODULE": "settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "receipt for order 3\n", done.stderr


def test_the_tenant_of_the_page_travels_with_an_intent(project: Path) -> None:
    """With what stands for django-tenants, which needs a database of its own."""
    written(TENANTS, str(project))
    done = subprocess.run(
        [sys.executable, "tenants_tried.py"],
        cwd=project,
        env=environment() | {"DJANGO_SETTINGS_MODULE": "settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["acme", "acme", "acme", "public"], done.stderr


TENANTS = {
    "django_tenants/__init__.py": "",
    "django_tenants/utils.py": """
from contextlib import contextmanager

schema = "public"


@contextmanager
def schema_context(name):
    global schema
    before, schema = schema, name
    try:
        yield
    finally:
        schema = before
""",
    "tenants_tried.py": """
from types import SimpleNamespace

import django

django.setup()

from airlock import Boundary, Handles, HandlesBatch, emit
from dependency_injector import containers
from django_tenants import utils
from shop.intents import Remind, SendReceipt
from shop.tenants import headers, in_schema


def send_receipt(intent):
    print(utils.schema)
    emit(Remind(1))
    emit(Remind(2))


def remind(intents):
    for _ in intents:
        print(utils.schema)


class Effects(containers.DeclarativeContainer):
    send_receipt = Handles(SendReceipt, send_receipt)
    remind = HandlesBatch(Remind, remind)


boundary = Boundary(Effects(), interceptors=[in_schema])
request = SimpleNamespace(tenant=SimpleNamespace(schema_name="acme"))
with boundary.scope(headers=headers(request)) as effects:
    effects.emit(SendReceipt(1))
print(utils.schema)
""",
}


def test_a_command_that_cannot_be_edited_is_as_the_settings_say(project: Path) -> None:
    assert "NoScopeError" in typed(project, "legacy", code=1)
    setting(project, (project / "later.py").read_text())
    assert typed(project, "legacy") == "receipt for order 4\n"
    assert "NO_SCOPE is 'run'" in typed(project, "check")
    setting(project, 'AIRLOCK["COMMANDS"]["legacy"] = "drop"')
    assert typed(project, "legacy") == ""


def test_in_the_shell_effects_are_refused_or_happen_at_once(project: Path) -> None:
    code = "from shop.models import Order; Order(email='c').place(); print('placed')"
    assert "NoScopeError" in typed(project, "shell", "-c", code, code=1)
    setting(project, (project / "later.py").read_text())
    printed = typed(project, "shell", "-c", code)
    assert "receipt for order 4\nplaced" in printed
    assert "shop.send-receipt was emitted where no scope is open" in printed


def test_a_wrong_setting_is_told_by_check_and_keeps_the_server_from_starting(project: Path) -> None:
    setting(project, 'AIRLOCK["BOUNDARY"] = "shop.efects.boundary"')
    printed = typed(project, "check", code=1)
    assert "(airlock.E001) settings.AIRLOCK: 'BOUNDARY' is 'shop.efects.boundary'" in printed
    assert "Traceback" not in printed
    done = subprocess.run(
        [sys.executable, "-c", "import wsgi"],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert "SettingError: settings.AIRLOCK: 'BOUNDARY'" in done.stderr


WSGI = """
import sys
from wsgiref.simple_server import make_server
from wsgi import application
make_server("127.0.0.1", int(sys.argv[1]), application).serve_forever()
"""
ASGI = """
import sys
import uvicorn
uvicorn.run("asgi:application", host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
"""
RUNSERVER = """
import sys
sys.argv = ["manage.py", "runserver", "--noreload", f"127.0.0.1:{sys.argv[1]}"]
exec(open("manage.py").read())
"""


@contextmanager
def serving(folder: Path, program: str) -> Iterator[tuple[httpx.Client, Path]]:
    """A server in a process of its own, and the file that it prints into."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    printed = folder / "printed.txt"
    with printed.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(port)],
            cwd=folder,
            env=environment(),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600) as client:
            until_it_answers(process, port, printed)
            yield client, printed
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def until_it_answers(process: subprocess.Popen[bytes], port: int, printed: Path) -> None:
    for _ in range(300):
        assert process.poll() is None, printed.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"it does not answer: {printed.read_text()}")


@pytest.mark.parametrize("program", [WSGI, ASGI, RUNSERVER], ids=["wsgi", "asgi", "runserver"])
def test_a_server_serves_one_scope_for_each_request(project: Path, program: str) -> None:
    if program is ASGI:
        pytest.importorskip("uvicorn")
    with serving(project, program) as (client, printed):
        assert client.get("/place", params={"email": "c"}).text == "thank you\n"
        assert "receipt for order 3\n" in printed.read_text()
        assert client.get("/crash").status_code == 500
        assert client.get("/remind/7").text == "reminded"
        assert client.get("/place").status_code == 500
        assert client.get("/place", params={"email": "d"}).status_code == 200
        lines = printed.read_text().splitlines()
    told = [line for line in lines if line.startswith(("receipt", "reminder"))]
    assert told == ["receipt for order 3", "reminder of order 7", "receipt for order 4"]
