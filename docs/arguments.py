"""The directive ``arguments``: the arguments of a function or class, from its docstring, as a table."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from textwrap import dedent, indent
from typing import Any, get_overloads

import attrs
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

SECTION = re.compile(r"^Args:\n(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
ARGUMENT = re.compile(r"^(\*{0,2}\w+): (.*?)(?=^\*{0,2}\w+: |\Z)", re.MULTILINE | re.DOTALL)
HEAD = """.. list-table::
   :header-rows: 1
   :widths: 20 15 65

   * - argument
     - default
     - meaning
"""
# Of what is called for an instance the table shows neither.
BOUND = {"self", "cls"}


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("arguments", Arguments)
    return {"parallel_read_safe": True}


class Arguments(SphinxDirective):
    """The table; its argument is the name to import."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        table = nodes.container(classes=["arguments"])
        lines = StringList(table_of(found(name)).splitlines(), source=f"docstring of {name}")
        self.state.nested_parse(lines, 0, table)
        return [table]


def found(name: str) -> Any:
    """Return the object of a name: ``airlock.Boundary.scope``, of ``airlock``."""
    module, *attributes = name.split(".")
    thing: Any = import_module(module)
    for attribute in attributes:
        thing = getattr(thing, attribute)
    return thing


def table_of(thing: Any) -> str:
    """Return the arguments of a function or class as a table of reStructuredText.

    Raises:
        ValueError: the docstring leaves an argument out, or has one that the signature has not.
    """
    parameters = {
        name: parameter
        for signature in _signatures(thing)
        for name, parameter in signature.parameters.items()
    }
    section = SECTION.search(inspect.getdoc(thing) or "")
    meanings = dict(ARGUMENT.findall(dedent(section[1]))) if section else {}
    names = {name: f"{_STARS.get(p.kind, '')}{name}" for name, p in parameters.items()}
    expected = {shown for name, shown in names.items() if name not in BOUND}
    if expected != set(meanings):
        raise ValueError(f"{thing} and its docstring differ: {sorted(expected ^ set(meanings))}")
    by_shown = {shown: parameters[name] for name, shown in names.items()}
    return HEAD + "".join(
        indent(f"* - ``{name}``\n  - {_default(by_shown[name])}\n  - {_one_line(text)}\n", "   ")
        for name, text in meanings.items()
    )


_STARS: dict[object, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}


def _signatures(thing: Any) -> list[inspect.Signature]:
    """Return those of the overloads, which are what a user sees, or the one that there is."""
    overloads = get_overloads(thing.__init__) if inspect.isclass(thing) else ()
    return [inspect.signature(each) for each in overloads] or [inspect.signature(thing)]


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return "" if parameter.kind in _STARS else "required"
    if parameter.default is attrs.NOTHING:  # made when it is needed; the docstring has the value
        return ""
    named = {id(found(f"airlock.{name}")): name for name in import_module("airlock").__all__}
    return f"``{named.get(id(parameter.default)) or repr(parameter.default)}``"


def _one_line(text: str) -> str:
    return " ".join(text.split())
