"""Statements that are known to be reads; all others count as writes.

SQL that is given as text is looked at only as far as that takes: a ``SELECT`` that calls no function
which might be called for what it does, or a setting. Who is not sure takes it for a write.
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import CompoundSelect, Select, TextClause
from sqlalchemy.engine import ExecutionContext
from sqlalchemy.orm import FromStatement
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import (
    ReleaseSavepointClause,
    RollbackToSavepointClause,
    SavepointClause,
)
from sqlalchemy.sql.functions import Function

__all__ = ["only_reads"]

SAVEPOINTS = (SavepointClause, RollbackToSavepointClause, ReleaseSavepointClause)


def only_reads(sql: str, context: ExecutionContext | None) -> bool:
    """Return True if a statement is known to be a read.

    Not one with an INSERT in a CTE, nor ``select(func.place_order())``: a function that SQLAlchemy
    does not know, in place of a column, may be called for what it does; a few are known here.

    Args:
        sql: as it is sent.
        context: with the statement that it was compiled from, if it was.
    """
    compiled = None if context is None else context.compiled
    if not isinstance(compiled, SQLCompiler):
        return text_reads(sql)
    statement: Any = compiled.statement
    if isinstance(statement, FromStatement):
        statement = statement.element
    if isinstance(statement, TextClause):
        return text_reads(sql)
    if isinstance(statement, SAVEPOINTS):
        return True
    if any(getattr(cte.element, "is_dml", True) for cte in compiled.ctes or ()):
        return False
    selects = statement.selects if isinstance(statement, CompoundSelect) else [statement]
    return all(isinstance(one, Select) and not calls_functions(one) for one in selects)


def calls_functions(statement: Select[Any]) -> bool:
    """Return True if a column is a function that might be called for what it does."""
    columns = (column["expr"] for column in statement.column_descriptions)
    found = (getattr(expr, "element", expr) for expr in columns)
    return any(type(one) is Function and one.name.lower() not in _HARMLESS for one in found)


_QUOTED_OR_COMMENT = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|/\*.*?\*/|--[^\n]*", re.DOTALL)
_UNCLEAR = re.compile(r"[\\;'\"`#]|\$(?!\d)|/\*|\binto\b")
_BEFORE_PARENTHESIS = re.compile(r"([^\s(),=<>!|+*/%-]+)\s*\(")
_KEYWORDS = """
    select distinct from join lateral on using where and or not in exists any some all as having by
    over filter union except intersect values case when then else between like limit offset
"""
_FUNCTIONS = """
    count sum avg min max coalesce nullif lower upper length trim substr substring replace round abs
    cast extract concat now date row_number rank
"""  # every database has these, and they only compute
_HARMLESS = frozenset((_KEYWORDS + _FUNCTIONS).split())


def text_reads(sql: str) -> bool:
    """Return True for a ``SELECT`` that calls known functions only, a ``SET`` and a ``SHOW``."""
    text = _QUOTED_OR_COMMENT.sub(_without, sql).strip().removesuffix(";").lower()
    verb = text.split(maxsplit=1)[0] if text else ""
    if _UNCLEAR.search(text):
        return False
    if verb in ("set", "show"):
        return True
    return verb == "select" and _HARMLESS.issuperset(_BEFORE_PARENTHESIS.findall(text))


def _without(found: re.Match[str]) -> str:
    """Return what stands for a text in quotes, which may be a name, or for a comment."""
    return " " if found.group().startswith(("/*", "--")) else "quoted"
