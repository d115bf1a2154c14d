"""The rules: which of a module's calls let an effect bypass the airlock."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from operator import attrgetter

import attrs

from airlock.migration.flake8.baseline import Entry
from airlock.migration.flake8.known import (
    BY_METHOD,
    BY_ORIGIN,
    ENGINES,
    OF_TASKS,
    TASK_DECORATORS,
    Names,
    is_foreign,
)
from airlock.migration.flake8.shapes import (
    called,
    deferred,
    has_task_arguments,
    is_canvas,
    is_of_pool,
    is_signature,
    name_of,
    of_canvas,
    of_huey,
)
from airlock.migration.flake8.spaces import Origins, Site, Space, Walk

__all__ = ["Finding", "found", "text_of"]

CONNECTIONS = {"connection", "transaction"}
PROPERTIES = {"cached_property", "property"}
EMITTERS = {"buffer", "effects", "scope"}
OF_SCOPES = re.compile(r"(?:airlock\b.*|.*\.(?:scope|region)\(\))\.(emit|emit_all|enqueue)")
OF_WIRING = re.compile(r"airlock\.(?:.+\.)?(?:Boundary|Expands|Handles|HandlesBatch|Route)")
EFFECT = re.compile(r"airlock\.(?:.+\.)?effect(?:\(\))?")


@attrs.frozen
class Finding:
    """An effect that bypasses the airlock.

    Attributes:
        line: from 1.
        column: from 0.
        code: of the rule.
        name: of the function or class it stands in, qualified; ``<module>`` outside.
        call: what is called, in short.
    """

    line: int
    column: int
    code: str
    name: str
    call: str

    @property
    def entry(self) -> Entry:
        """The entry of the finding in a baseline."""
        return self.name, self.code, self.call


def found(tree: ast.AST, path: str, names: Names) -> tuple[list[Finding], dict[str, int]]:
    """All findings of a module, in order, and the lines of its functions and classes by name.

    Args:
        tree: of the module.
        path: of its file, for relative imports.
        names: more to look for.
    """
    parts = [part for part in re.split(r"[/\\]", path.removesuffix(".py")) if part not in {"", "."}]
    walk = Walk(tree, ".".join(parts[:-1]))
    if parts[-1:] == ["__init__"]:
        parts.pop()
    rules = Rules(walk, Origins(walk, ".".join(parts)), names)
    lines = {title: space.node.lineno for title, space in walk.spaces.items() if space.node}
    return sorted(rules.findings(), key=attrgetter("line", "column", "code")), lines


class Rules:
    """The rules for one module."""

    def __init__(self, walk: Walk, origins: Origins, names: Names) -> None:
        self._walk = walk
        self._origins = origins
        self._names = names
        self._wiring: set[Site] = set()

    def findings(self) -> Iterator[Finding]:
        called = [(site, self._origins.of(site.callee, site.space)) for site in self._walk.sites]
        for site, origins in called:
            if any(OF_WIRING.fullmatch(origin) for origin in origins):
                self._allow(site)
        self._allow_effects()
        for site, origins in called:
            for code, node, text in self._of(site, origins):
                if not self._is_allowed(site):
                    name = site.space.title or "<module>"
                    yield Finding(node.lineno, node.col_offset, code, name, text)

    # -- where effects may happen ------------------------------------------------------------------

    def _allow(self, site: Site) -> None:
        """Return the functions that this file wires as handlers, which may do what they do."""
        self._wiring.add(site)
        values = list(site.arguments)
        while values:
            value = values.pop()
            if isinstance(value, ast.Dict):
                values += value.values
            for origin in self._origins.of(value, site.space):
                space = self._origins.defined(origin.removesuffix("()"))
                if space is not None:
                    space.is_allowed = True

    def _allow_effects(self) -> None:
        for space in self._walk.spaces.values():
            if space.parent is not None and self._decorated(space, EFFECT.fullmatch):
                space.is_allowed = True

    def _is_allowed(self, site: Site) -> bool:
        if any(space.is_allowed for space in site.space.around()):
            return True
        outer = site.outer
        while outer is not None and outer not in self._wiring:
            outer = outer.outer
        return outer is not None

    def _decorated(self, space: Space, match: Callable[[str], object]) -> bool:
        around = space.parent or space
        return any(
            match(origin)
            for decorator in space.decorators
            for origin in self._origins.of(decorator, around)
        )

    # -- what is an effect -------------------------------------------------------------------------

    def _of(self, site: Site, origins: list[str]) -> Iterator[tuple[str, ast.expr, str]]:
        """Code, place and text of what a call lets bypass."""
        text = text_of(site.callee)
        verb = self._emits(site.callee, origins)
        if verb:
            for argument in self._emitted(site, verb):
                if self._is_raw(argument, site.space, verb):
                    yield "ALK104", site.node, f"{text}({text_of(argument)})"
            return
        code = self._code(site, origins)
        if code == "ALK103":
            of = text_of(site.arguments[0]) if site.arguments else ""
            yield code, site.node, f"{text}({of})" if site.call else f"@{text}"
        elif code:
            yield code, site.node, f"{text}()" if site.call else f"@{text}"
        if not any(origin.startswith("airlock.") for origin in origins):
            later = deferred(site.call) if site.call else []
            for argument in site.arguments:
                code = self._reference(argument, site.space, is_called=argument in later)
                if code:
                    yield code, argument, f"{text}({text_of(argument)})"

    def _code(self, site: Site, origins: list[str]) -> str | None:
        code = self._by_origin(origins)
        if code or site.call is None:
            return code
        for method, space in self._origins.methods(site.callee, site.space):
            code = self._by_method(site.call, method, space)
            if code:
                return code
        if isinstance(site.callee, ast.Attribute):
            return None
        if is_canvas(site.callee) or any(of_canvas(origin) for origin in origins):
            return "ALK101"
        return "ALK105" if any(self._is_huey(origin) for origin in origins) else None

    def _by_origin(self, origins: list[str]) -> str | None:
        for origin in origins:
            if origin in BY_ORIGIN:
                return BY_ORIGIN[origin]
            if self._names.match(origin):
                return "ALK106"
        return None

    def _by_method(self, call: ast.Call, callee: ast.Attribute, space: Space) -> str | None:
        method, owner = callee.attr, callee.value
        code = None
        if method in self._names.methods:
            code = "ALK106"
        elif method in BY_METHOD and not isinstance(owner, ast.Constant):
            is_pool = method == "apply_async" and is_of_pool(call)
            code = None if is_pool or self._is_other(callee, space) else BY_METHOD[method]
        elif method in OF_TASKS and self._is_of_task(call, callee, space):
            code = OF_TASKS[method]
        elif method == "on_commit" and name_of(owner) in CONNECTIONS:
            code = None if self._origins.of(callee, space) else "ALK103"
        return code

    def _is_other(self, method: ast.Attribute, space: Space) -> bool:
        """Return True if it is known to be another method of that name."""
        origins = self._origins.of(method, space)
        return bool(origins) and all(
            is_foreign(origin) or self._origins.defined(origin) is not None for origin in origins
        )

    def _is_of_task(self, call: ast.Call, callee: ast.Attribute, space: Space) -> bool:
        owner = callee.value
        if callee.attr == "apply":
            if is_signature(owner) or has_task_arguments(call):
                return True
        elif callee.attr in {"enqueue", "aenqueue"} and (
            name_of(owner) in {"broker", "huey"}
            or (isinstance(owner, ast.Call) and name_of(owner.func) == "using")
        ):
            return True
        return any(self._is_task(origin) for origin in self._origins.of(owner, space))

    def _is_task(self, origin: str) -> bool:
        """Return True if it is decorated as a task in this file, or imported from where tasks are."""
        space = self._origins.defined(origin)
        if space is not None:
            return any(name_of(called(d)) in TASK_DECORATORS for d in space.decorators)
        *modules, _ = origin.split(".")
        if is_foreign(origin) or (modules and modules[0] in ENGINES):
            return False
        return any(re.fullmatch(r"(?:.+_)?(?:tasks|actors)", module) for module in modules)

    def _is_huey(self, origin: str) -> bool:
        """Return True if it is a task of huey in this file, which is sent by calling it."""
        space = self._origins.defined(origin)
        return space is not None and any(
            name_of(called(decorator)) in TASK_DECORATORS
            and ("huey" in text_of(decorator) or self._decorated(space, of_huey))
            for decorator in space.decorators
        )

    # -- what is no call, but will be --------------------------------------------------------------

    def _reference(self, argument: ast.expr, space: Space, *, is_called: bool) -> str | None:
        if not isinstance(argument, ast.Name | ast.Attribute):
            return None
        code = self._by_origin(self._origins.of(argument, space))
        if code or not is_called:
            return code
        for method, around in self._origins.methods(argument, space):
            if method.attr in BY_METHOD and not self._is_other(method, around):
                return BY_METHOD[method.attr]
        return None

    def _emits(self, callee: ast.expr, origins: list[str]) -> str | None:
        """``emit``, ``emit_all`` or ``enqueue``, where it is airlock's."""
        for origin in origins:
            if match := OF_SCOPES.fullmatch(origin):
                return match[1]
        if (
            isinstance(callee, ast.Attribute)
            and callee.attr in {"emit", "emit_all"}
            and name_of(callee.value) in EMITTERS
        ):
            return callee.attr
        return None

    def _emitted(self, site: Site, verb: str) -> list[ast.expr]:
        arguments = site.arguments[:1]
        if verb == "emit_all" and arguments:
            several = arguments[0]
            return several.elts if isinstance(several, ast.List | ast.Tuple | ast.Set) else []
        return arguments

    def _is_raw(self, argument: ast.expr, space: Space, verb: str) -> bool:
        if isinstance(argument, ast.Lambda):
            return True
        if isinstance(argument, ast.Call):
            return any(
                origin in {"functools.partial", "functools.partialmethod"}
                for origin in self._origins.of(argument.func, space)
            )
        if self._reference(argument, space, is_called=True):
            return True
        if not isinstance(argument, ast.Name | ast.Attribute):
            return False
        spaces = map(self._origins.defined, self._origins.of(argument, space))
        if any(self._is_function(defined, verb) for defined in spaces if defined is not None):
            return True
        # enqueue() takes the functions that are effects, and an imported one may be one.
        return verb != "enqueue" and any(
            origin.rpartition(".")[2].islower()
            for origin in self._origins.imported(argument, space)
        )

    def _is_function(self, defined: Space, verb: str) -> bool:
        if defined.is_class:
            return False
        if verb == "enqueue":
            return not self._decorated(defined, EFFECT.fullmatch)
        return not any(name_of(called(d)) in PROPERTIES for d in defined.decorators)


KEY = re.compile(r"[\w.:-]+")


def text_of(expression: ast.expr) -> str:
    """Return an expression in short: ``chain(...).apply_async``, ``connections['default'].on_commit``.

    It has no spaces, and stays the same when arguments or the layout change.

    Example:
        >>> import ast
        >>> from airlock.migration.flake8.rules import text_of
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
