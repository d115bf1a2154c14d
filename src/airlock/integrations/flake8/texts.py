"""Short texts of calls, the same for the same code: without arguments, spaces and line breaks."""

from __future__ import annotations

import ast
import re

__all__ = ["text_of"]

KEY = re.compile(r"[\w.:-]+")


def text_of(expression: ast.expr) -> str:
    """An expression in short: ``chain(...).apply_async``, ``connections['default'].on_commit``.

    It has no spaces, and stays the same when arguments or the layout change.

    Example:
        >>> import ast
        >>> from airlock.integrations.flake8.texts import text_of
        >>> text_of(
        ...     ast.parse("notify.s(order . id).set(queue='slow').delay", mode="eval").body
        ... )
        'notify.s(...).set(...).delay'
    """
    parts: list[str] = []
    while True:
        match expression:
            case ast.Attribute():
                parts.append(f".{expression.attr}")
                expression = expression.value
            case ast.Call():
                parts.append("(...)" if expression.args or expression.keywords else "()")
                expression = expression.func
            case ast.Subscript():
                parts.append(f"[{_key(expression.slice)}]")
                expression = expression.value
            case ast.Await():
                expression = expression.value
            case _:
                return "".join([_root(expression), *reversed(parts)])


def _key(key: ast.expr) -> str:
    if isinstance(key, ast.Constant) and isinstance(key.value, str) and KEY.fullmatch(key.value):
        return repr(key.value)
    return "..."


def _root(expression: ast.expr) -> str:
    match expression:
        case ast.Name():
            return expression.id
        case ast.Lambda():
            return "lambda"
        case _:
            return "(...)"
