"""Where a name comes from: ``mail`` is ``django.core.mail.send_mail``, if it was imported so.

An origin is a dotted name in which calls and items stay: of ``message = EmailMessage(...)`` it is
``django.core.mail.EmailMessage()``. One that begins with a dot is known by its end only: what is
defined in the file itself or imported relatively, as nobody tells where its packages begin.
"""

from __future__ import annotations

import ast

from airlock.integrations.flake8.spaces import Space, Value, Walk, class_of

__all__ = ["Origins"]

DEEPEST = 40  # a chain of names, calls or assignments; no code of people is near it
MOST = 8  # origins of one name


class Origins:
    """Answers for one module.

    Args:
        walk: over the module.
        module: its dotted name, as far as its path tells.
    """

    def __init__(self, walk: Walk, module: str) -> None:
        self._stars = walk.stars
        self._seen: dict[
            object, list[str]
        ] = {}  # what is asked already: x = x.filter() is a circle
        self._module = f".{module}." if module else "."
        self._defined = {f"{self._module}{title}": space for title, space in walk.spaces.items()}

    def of(self, expression: ast.expr, space: Space, depth: int = 0) -> list[str]:
        """What an expression may be; nothing, if that cannot be known."""
        if depth > DEEPEST:
            return []
        match expression:
            case ast.Name(id=name):
                found = self._name(name, space, depth + 1)
            case ast.Attribute():
                found = self._attribute(expression, space, depth + 1)
            case ast.Call(func=inner):
                found = [f"{origin}()" for origin in self.of(inner, space, depth + 1)]
            case ast.Subscript(value=inner):
                found = [f"{origin}[]" for origin in self.of(inner, space, depth + 1)]
            case ast.Await(value=inner) | ast.NamedExpr(value=inner):
                found = self.of(inner, space, depth + 1)
            case _:
                found = []
        return found

    def defined(self, origin: str) -> Space | None:
        """The function or class of this file that an origin means."""
        return self._defined.get(origin)

    def imported(self, expression: ast.expr, space: Space) -> list[str]:
        """Where a plain name is imported from; nothing, if it is another expression or variable."""
        if not isinstance(expression, ast.Name):
            return []
        values = self._bound(expression.id, space) or []
        return [value for value in values if isinstance(value, str)]

    def methods(self, expression: ast.expr, space: Space) -> list[tuple[ast.Attribute, Space]]:
        """The attribute that an expression is, then those that are assigned to what it names.

        ``pack.delay`` for ``send``, after ``send = pack.delay``.
        """
        values: list[str | Space | Value]
        match expression:
            case ast.Name(id=name):
                values = self._bound(name, space) or []
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                owner = class_of(space)
                values = [] if owner is None else owner.members.get(name, [])
            case _:
                values = []
        found = [(expression, space)] if isinstance(expression, ast.Attribute) else []
        for value in values[:MOST]:
            if isinstance(value, Value) and isinstance(value.expression, ast.Attribute):
                found += [] if value.is_annotation else [(value.expression, value.space)]
        return found

    def _name(self, name: str, space: Space, depth: int) -> list[str]:
        values = self._bound(name, space)
        if values is None:
            return [f"{module}.{name}" for module in self._stars]
        return self._values(values, depth)

    def _bound(self, name: str, space: Space) -> list[str | Space | Value] | None:
        for around in space.around():
            if around.is_class and around is not space:
                continue  # the names of a class are not seen in its methods
            if name in around.names:
                return around.names[name]
        return None

    def _values(self, values: list[str | Space | Value], depth: int) -> list[str]:
        found: list[str] = []
        for value in values[:MOST]:
            if isinstance(value, str):
                found.append(value)
            elif isinstance(value, Space):
                found.append(f"{self._module}{value.title}")
            else:
                found += self._value(value, depth)
        return found[:MOST]

    def _value(self, value: Value, depth: int) -> list[str]:
        if value not in self._seen:
            self._seen[value] = []
            if value.is_annotation:
                found = [f"{origin}()" for origin in self._annotation(value, depth)]
            else:
                found = self.of(value.expression, value.space, depth)
            self._seen[value] = found
        return self._seen[value]

    def _annotation(self, value: Value, depth: int) -> list[str]:
        """The class that an annotation names: ``Emits`` for ``Emits[Notify] | None``."""
        expression = value.expression
        while not isinstance(expression, ast.Name | ast.Attribute):
            match expression:
                case ast.BinOp(left=inner) | ast.Subscript(value=inner):
                    expression = inner
                case _:
                    return []
        return self.of(expression, value.space, depth)

    def _attribute(self, node: ast.Attribute, space: Space, depth: int) -> list[str]:
        if isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}:
            owner = class_of(space)
            return [] if owner is None else self._member(owner, node.attr, depth)
        found: list[str] = []
        for origin in self.of(node.value, space, depth):
            owner = self._defined.get(origin.removesuffix("()"))
            if owner is not None and owner.is_class:
                found += self._member(owner, node.attr, depth)
            else:
                found.append(f"{origin}.{node.attr}")
        return found[:MOST]

    def _member(self, owner: Space, name: str, depth: int) -> list[str]:
        """A member of a class of this file, or of a class that it derives from."""
        key = owner, name
        if key not in self._seen:
            self._seen[key] = []
            known = [*owner.names.get(name, ()), *owner.members.get(name, ())]
            if known or name in owner.names:
                self._seen[key] = self._values(known, depth)
            else:
                self._seen[key] = self._inherited(owner, name, depth)
        return self._seen[key]

    def _inherited(self, owner: Space, name: str, depth: int) -> list[str]:
        found: list[str] = []
        bases = owner.node.bases if isinstance(owner.node, ast.ClassDef) else []
        for base in bases:
            for origin in self.of(base, owner.parent or owner, depth):
                defined = self._defined.get(origin)
                if defined is not None and defined.is_class:
                    found += self._member(defined, name, depth)
                else:
                    found.append(f"{origin}().{name}")
        return found[:MOST]
