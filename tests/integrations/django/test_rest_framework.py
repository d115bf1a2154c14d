"""Django REST framework: its exception handlers make responses, and decide thereby."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import Client, override_settings
from django.urls import path

import airlock
from airlock import Boundary, intent
from tests.integrations.django.pages import MIDDLEWARE
from tests.integrations.django.shop.models import Row

views: Any = import_module("rest_framework.views")  # which has no types
exceptions: Any = import_module("rest_framework.exceptions")
response: Any = import_module("rest_framework.response")


@intent(kind="rest-framework.note")
class Note:
    text: str


delivered: list[str] = []
boundary = Boundary({Note: lambda note: delivered.append(note.text)})


def as_ok(error: Exception, context: Any) -> Any:
    """An EXCEPTION_HANDLER that says in the body what went wrong."""
    return response.Response({"error": str(error)}, status=200)


def as_ok_rolled_back(error: Exception, context: Any) -> Any:
    views.set_rollback()
    return as_ok(error, context)


def as_bad_request(error: Exception, context: Any) -> Any:
    return response.Response({"error": str(error)}, status=400)


class View(views.APIView):  # type: ignore[misc]  # it has no types
    authentication_classes = ()
    renderer_classes = (import_module("rest_framework.renderers").JSONRenderer,)

    def post(self, request: Any) -> Any:
        Row.objects.create(text="a")
        request.effects.emit(Note("a"))
        if "atomic" in request.GET:
            with transaction.atomic():
                airlock.emit(Note("rolled back"))
                raise exceptions.ValidationError
        if "fails" in request.GET:
            raise exceptions.ValidationError
        return response.Response({})


urlpatterns = [path("rows", View.as_view())]


@pytest.fixture(params=[False, True], ids=["autocommit", "ATOMIC_REQUESTS"])
def atomic(request: pytest.FixtureRequest) -> Iterator[bool]:
    settings = connections["default"].settings_dict
    settings["ATOMIC_REQUESTS"] = request.param
    yield request.param
    settings["ATOMIC_REQUESTS"] = False
    delivered.clear()
    Row.objects.all().delete()


def post(query: str, handler: str | None = None) -> int:
    """The status of an answer."""
    own: dict[str, Any] = {} if handler is None else {"EXCEPTION_HANDLER": f"{__name__}.{handler}"}
    with override_settings(
        AIRLOCK={"BOUNDARY": boundary},
        MIDDLEWARE=[MIDDLEWARE],
        ROOT_URLCONF=__name__,
        REST_FRAMEWORK={"UNAUTHENTICATED_USER": None, **own},
    ):
        status: int = Client().post(f"/rows?{query}").status_code
    return status


def test_an_answer(atomic: bool) -> None:
    """Its effects happen."""
    assert post("") == 200
    assert delivered == ["a"]


@pytest.mark.parametrize("query", ["fails", "atomic"])
def test_an_exception(atomic: bool, query: str) -> None:
    """The framework's own handler answers 400, and rolls the request's transaction back."""
    assert post(query) == 400
    assert delivered == []
    assert Row.objects.count() == (0 if atomic else 1)


def test_a_handler_that_answers_400_and_rolls_nothing_back(atomic: bool) -> None:
    """The transaction of the request commits then, and its effects happen with it."""
    assert post("fails", "as_bad_request") == 400
    assert delivered == (["a"] if atomic else [])
    assert Row.objects.count() == 1


def test_a_handler_that_answers_200(atomic: bool) -> None:
    """As if nothing had happened: the rows stay, and the effects happen."""
    assert post("fails", "as_ok") == 200
    assert delivered == ["a"]
    assert Row.objects.count() == 1


def test_a_handler_that_answers_200_and_rolls_back(atomic: bool) -> None:
    """Where there is a transaction of the request, that decides."""
    assert post("fails", "as_ok_rolled_back") == 200
    assert delivered == ([] if atomic else ["a"])
    assert Row.objects.count() == (0 if atomic else 1)


def test_what_an_exception_rolls_back_is_discarded_in_any_case(atomic: bool) -> None:
    """In an atomic() of the view."""
    assert post("atomic", "as_ok") == 200
    assert delivered == ["a"]
