"""Shapes of expressions that show what a call is, where its origin does not."""

from __future__ import annotations

import ast
from typing import TypeGuard

from airlock.migration.flake8.known import CANVASES, DEFERRING, DEFERRING_BY_NAME, is_foreign

__all__ = [
    "called",
    "deferred",
    "has_task_arguments",
    "is_canvas",
    "is_of_pool",
    "is_signature",
    "name_of",
    "of_canvas",
    "of_huey",
]

SIGNATURES = {"chunks", "s", "si", "signature", "starmap", "subtask"}


def name_of(expression: ast.expr) -> str:
    """Return the last name of a dotted one."""
    match expression:
        case ast.Name():
            return expression.id
        case ast.Attribute():
            return expression.attr
        case _:
            return ""


def called(decorator: ast.expr) -> ast.expr:
    """Return a decorator without its arguments."""
    return decorator.func if isinstance(decorator, ast.Call) else decorator


def is_signature(expression: ast.expr) -> bool:
    """``notify.s(42)``, or several joined with ``|``."""
    while is_chain(expression):
        expression = expression.left
    return (
        isinstance(expression, ast.Call)
        and isinstance(expression.func, ast.Attribute)
        and expression.func.attr in SIGNATURES
    )


def is_chain(expression: ast.expr) -> TypeGuard[ast.BinOp]:
    """Return True if it is joined with ``|``."""
    return isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.BitOr)


def is_canvas(expression: ast.expr) -> bool:
    """Several signatures joined with ``|``, which are sent by calling that."""
    return is_chain(expression) and is_signature(expression)


def of_canvas(origin: str) -> bool:
    """Return True if it is the origin of a canvas, which is sent by calling it."""
    return origin in CANVASES or (origin.endswith(".chunks()") and not is_foreign(origin))


def of_huey(origin: str) -> bool:
    """Return True if it comes from huey itself."""
    return origin.startswith("huey.")


def is_of_pool(call: ast.Call) -> bool:
    """``pool.apply_async(function, (1, 2))``: a task has no function as its first argument."""
    first, second = (*call.args[:2], None, None)[:2]
    return isinstance(first, ast.Lambda) or isinstance(second, ast.List | ast.Tuple)


def deferred(call: ast.Call) -> list[ast.expr]:
    """Yield the arguments to be called later: ``notify.delay`` in ``Timer(5, notify.delay)``."""
    name = name_of(call.func)
    if name not in DEFERRING:
        return []
    place, keyword = DEFERRING[name], DEFERRING_BY_NAME.get(name)
    by_name = [given.value for given in call.keywords if keyword and given.arg == keyword]
    return [*call.args[place : place + 1], *by_name]


def has_task_arguments(call: ast.Call) -> bool:
    """``notify.apply(args=[42])``, unlike ``frame.apply(function)``."""
    keywords = {keyword.arg for keyword in call.keywords}
    is_function = bool(call.args) and not isinstance(call.args[0], ast.List | ast.Tuple)
    return bool(keywords & {"args", "kwargs"}) and "func" not in keywords and not is_function
