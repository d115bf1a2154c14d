"""Names of airlock in pages and signatures, as links to the reference.

A page writes `Boundary`, and is plain Markdown; the site makes a link of that. A signature names a
class by the module that it is written in; the reference has it under the name that users import.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.logging import getLogger
from sphinx.util.nodes import make_refnode

LOGGER = getLogger(__name__)
# What pages call an object of the class.
VARIABLES = {"boundary": "Boundary", "plan": "plan.Plan", "report": "Report", "scope": "Scope"}
IMPORT = re.compile(r"^from (airlock[\w.]*) import ([\w, ]+|\([^)]*\))", re.MULTILINE)
NAME = re.compile(r"@?([A-Za-z_][\w.]*)(?:\(.*\))?")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the links."""
    app.setup_extension("sphinx.ext.autodoc")
    app.add_post_transform(Literals)
    app.connect("missing-reference", _public)
    app.connect("autodoc-process-docstring", _documented)
    app.connect("env-check-consistency", _complete)
    return {"parallel_read_safe": True}


class Literals(SphinxPostTransform):
    """Links of inline code that is a name of airlock."""

    default_priority = 5  # type: ignore[mutable-override]  # as Sphinx writes it

    def run(self, **_: Any) -> None:
        page = self.env.docname
        if page.startswith("reference/api/"):
            return
        objects = self.env.domains.python_domain.objects
        for literal in list(self.document.findall(nodes.literal)):
            name = _meant(literal.astext(), page, self.env)
            if name and not isinstance(literal.parent, nodes.reference | nodes.title):
                found = objects[name]
                parent, place = literal.parent, literal.parent.index(literal)
                link = make_refnode(
                    self.app.builder, page, found.docname, found.node_id, literal, name
                )
                parent[place] = link


def _meant(code: str, page: str, env: BuildEnvironment) -> str | None:
    """Return the documented name that inline code is, or None: the code is not one, or could be two."""
    match = NAME.fullmatch(code)
    if match is None:
        return None
    first, dot, attribute = match[1].partition(".")
    name = f"{_imported(page, env).get(first) or VARIABLES.get(first, first)}{dot}{attribute}"
    if first in VARIABLES and not dot:
        return None
    for known in (name, f"airlock.{name}"):
        if known in env.domains.python_domain.objects and known.startswith("airlock."):
            return known
    elsewhere = _classes(env).get(name, ())
    return elsewhere[0] if len(elsewhere) == 1 else None


@cache
def _imported(page: str, env: BuildEnvironment) -> dict[str, str]:
    """Return the names that the programs of a page import from airlock, by the bare ones."""
    text = env.doc2path(page).read_text("utf-8")
    return {
        name: f"{module}.{name}"
        for module, names in IMPORT.findall(text)
        for name in re.findall(r"\w+", names)
    }


def _public(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    """Resolve the name that an object has in its own module to the one that the reference has."""
    if node.get("refdomain") != "py":
        return None
    name = _public_names(env).get(node["reftarget"])
    if name is None:
        return None
    found = env.domains.python_domain.objects[name]
    return make_refnode(app.builder, node["refdoc"], found.docname, found.node_id, content, name)


@cache
def _classes(env: BuildEnvironment) -> dict[str, list[str]]:
    """Return the documented classes by their bare names; that of a function says too little."""
    found: dict[str, list[str]] = {}
    for name, entry in env.domains.python_domain.objects.items():
        if entry.objtype in {"class", "exception"}:
            found.setdefault(name.rpartition(".")[2], []).append(name)
    return found


@cache
def _public_names(env: BuildEnvironment) -> dict[str, str]:
    """Return the documented names by those that their objects have in their own modules."""
    names: dict[str, str] = {}
    for name in env.domains.python_domain.objects:
        module, _, attribute = name.rpartition(".")
        if module in sys.modules:
            found = getattr(sys.modules[module], attribute, None)
            own = f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}"
            names.setdefault(own, name)
    return names


def _documented(
    _app: Sphinx, what: str, name: str, found: object, _options: object, lines: list[str]
) -> None:
    """Put the text below a constant in place of its class's; autodoc looks only where it is exported."""
    attribute = name.rpartition(".")[2]
    if what == "data":
        for module in [name for name in sys.modules if name.startswith("airlock.")]:
            if vars(sys.modules[module]).get(attribute) is found:
                texts = ModuleAnalyzer.for_module(module).find_attr_docs()
                if text := texts.get(("", attribute)):
                    lines[:] = text
                    return


def _complete(_app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of each name that a module exports and its page leaves out."""
    python = env.domains.python_domain
    for module, page in python.modules.items():
        for name in sys.modules[module].__all__:
            if f"{module}.{name}" not in python.objects:
                LOGGER.warning(
                    "%s.%s is exported, and not on its page", module, name, location=page.docname
                )
