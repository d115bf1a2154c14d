"""The namespaces of a module, their bindings, the origins of names, and every call. One walk.

An origin is where a name comes from: ``mail`` is ``django.core.mail.send_mail``, if it was imported
so. It is a dotted name in which calls and items stay: of ``message = EmailMessage(...)`` it is
``django.core.mail.EmailMessage()``. One that begins with a dot is known by its end only: what is
defined in the file itself or imported relatively, as its packages are not known.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import ClassVar, TypeAlias

import attrs

__all__ = ["Definition", "Origins", "Site", "Space", "Value", "Walk"]

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
NOT_WALKED = (ast.expr_context, ast.operator, ast.cmpop, ast.Constant)


@attrs.frozen(eq=False)
class Value:
    """The value that an assignment binds to a name, or an instance of its annotation."""

    expression: ast.expr
    space: Space
    is_annotation: bool = False


@attrs.define(eq=False)
class Space:
    """A module, class, function or lambda, and the names bound in it.

    Attributes:
        node: what opens it; None for the module.
        parent: the space around it.
        title: the qualified name; that of the function around it for a lambda.
        names: what each name may be: where it is imported from (a text), what is defined under it
            (a space), or what is assigned to it. Nothing, if that cannot be known.
        members: the same for what a class assigns to ``self``.
        is_allowed: effects may happen here.
    """

    node: Definition | None = None
    parent: Space | None = None
    title: str = ""
    names: dict[str, list[str | Space | Value]] = attrs.field(factory=dict)
    members: dict[str, list[str | Space | Value]] = attrs.field(factory=dict)
    is_allowed: bool = False

    @property
    def is_class(self) -> bool:
        return isinstance(self.node, ast.ClassDef)

    @property
    def decorators(self) -> list[ast.expr]:
        return [] if isinstance(self.node, ast.Lambda | None) else self.node.decorator_list

    def around(self) -> Iterator[Space]:
        """Yield this space and those around it, from the inside out."""
        space: Space | None = self
        while space is not None:
            yield space
            space = space.parent


@attrs.frozen(eq=False)
class Site:
    """A call, or a decorator without parentheses, which is one as well.

    Attributes:
        callee: what is called.
        call: the call; None for a decorator.
        space: where it stands.
        outer: the call among whose arguments it stands.
    """

    callee: ast.expr
    call: ast.Call | None
    space: Space
    outer: Site | None

    @property
    def node(self) -> ast.expr:
        return self.call or self.callee

    @property
    def arguments(self) -> list[ast.expr]:
        if self.call is None:
            return []
        return [*self.call.args, *(keyword.value for keyword in self.call.keywords)]


class Walk:
    """Walks over a module once, without recursion: a long expression is no reason to fail.

    Args:
        tree: of the module.
        package: the dotted name of its folder, as far as its path shows; for relative imports.

    Attributes:
        module: its space.
        sites: every call, in no particular order.
        spaces: all but the lambdas, by title. Of several with one title it is the first.
        stars: the modules of which everything is imported.
    """

    def __init__(self, tree: ast.AST, package: str) -> None:
        self.package = package.split(".") if package else []
        self.module = Space()
        self.sites: list[Site] = []
        self.spaces: dict[str, Space] = {}
        self.stars: list[str] = []
        self._stack: list[tuple[ast.AST, Space, Site | None]] = [(tree, self.module, None)]
        self._run()

    def _run(self) -> None:
        stack, visits = self._stack, self._VISITS
        while stack:
            node, space, outer = stack.pop()
            visit = visits.get(type(node))
            if visit is None:
                self._children(node, space, outer)
            else:
                visit(self, node, space, outer)

    def _push(self, nodes: list[ast.expr] | list[ast.stmt], space: Space, of: Site | None) -> None:
        self._stack.extend((node, space, of) for node in reversed(nodes))

    def _children(self, node: ast.AST, space: Space, outer: Site | None) -> None:
        found: list[tuple[ast.AST, Space, Site | None]] = []
        for name in node._fields:
            child = getattr(node, name, None)
            if isinstance(child, list):
                found.extend((part, space, outer) for part in child if isinstance(part, ast.AST))
            elif isinstance(child, ast.AST) and not isinstance(child, NOT_WALKED):
                found.append((child, space, outer))
        self._stack.extend(reversed(found))

    def _call(self, node: ast.Call, space: Space, outer: Site | None) -> None:
        site = Site(node.func, node, space, outer)
        self.sites.append(site)
        self._push(site.arguments, space, site)
        self._stack.append((node.func, space, outer))

    def _define(
        self,
        node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef,
        space: Space,
        outer: Site | None,
    ) -> None:
        inner = Space(node, space, f"{space.title}.{node.name}" if space.title else node.name)
        self.spaces.setdefault(inner.title, inner)
        space.names.setdefault(node.name, []).append(inner)
        self._push(node.body, inner, None)
        self._push(node.decorator_list, space, outer)
        for decorator in node.decorator_list:
            if not isinstance(decorator, ast.Call):
                self.sites.append(Site(decorator, None, space, outer))
        if isinstance(node, ast.ClassDef):
            self._push([*node.bases, *(k.value for k in node.keywords)], space, outer)
        else:
            self._parameters(node.args, inner, outer)

    def _lambda(self, node: ast.Lambda, space: Space, outer: Site | None) -> None:
        inner = Space(node, space, space.title)
        self._push([node.body], inner, outer)
        self._parameters(node.args, inner, outer)

    def _parameters(self, arguments: ast.arguments, inner: Space, outer: Site | None) -> None:
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        for argument in every:
            inner.names[argument.arg] = (
                [Value(argument.annotation, inner, is_annotation=True)]
                if argument.annotation
                else []
            )
        for rest in (arguments.vararg, arguments.kwarg):
            if rest is not None:
                inner.names[rest.arg] = []
        defaults = [*arguments.defaults, *(d for d in arguments.kw_defaults if d is not None)]
        self._push(defaults, inner.parent or inner, outer)

    def _assign(self, node: ast.Assign, space: Space, outer: Site | None) -> None:
        for target in node.targets:
            self._bind(target, Value(node.value, space))
        self._children(node, space, outer)

    def _annotated(self, node: ast.AnnAssign, space: Space, outer: Site | None) -> None:
        if node.value is not None:
            self._bind(node.target, Value(node.value, space))
        self._bind(node.target, Value(node.annotation, space, is_annotation=True))
        self._children(node, space, outer)

    def _named(self, node: ast.NamedExpr, space: Space, outer: Site | None) -> None:
        self._bind(node.target, Value(node.value, space))
        self._children(node, space, outer)

    def _with(self, node: ast.withitem, space: Space, outer: Site | None) -> None:
        if node.optional_vars is not None:
            self._bind(node.optional_vars, Value(node.context_expr, space))
        self._children(node, space, outer)

    def _bind(self, target: ast.expr, value: Value) -> None:
        if isinstance(target, ast.Name):
            value.space.names.setdefault(target.id, []).append(value)
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
            owner = class_of(value.space)
            if owner is not None and target.value.id == "self":
                owner.members.setdefault(target.attr, []).append(value)

    def _name(self, node: ast.Name, space: Space, _: Site | None) -> None:
        if isinstance(node.ctx, ast.Store):
            space.names.setdefault(node.id, [])

    def _import(self, node: ast.Import, space: Space, _: Site | None) -> None:
        for alias in node.names:
            root = alias.name.partition(".")[0]
            bound, module = (alias.asname, alias.name) if alias.asname else (root, root)
            space.names.setdefault(bound, []).append(module)

    def _import_from(self, node: ast.ImportFrom, space: Space, _: Site | None) -> None:
        module = node.module or ""
        if node.level:
            around = self.package[: max(0, len(self.package) - node.level + 1)]
            module = "." + ".".join([*around, *filter(None, [module])])
        for alias in node.names:
            if alias.name == "*":
                self.stars.append(module)
            else:
                origin = f"{module}.{alias.name}" if module != "." else f".{alias.name}"
                space.names.setdefault(alias.asname or alias.name, []).append(origin)

    _VISITS: ClassVar[dict[type[ast.AST], Callable[..., None]]] = {
        ast.AnnAssign: _annotated,
        ast.Assign: _assign,
        ast.AsyncFunctionDef: _define,
        ast.Call: _call,
        ast.ClassDef: _define,
        ast.FunctionDef: _define,
        ast.Import: _import,
        ast.ImportFrom: _import_from,
        ast.Lambda: _lambda,
        ast.Name: _name,
        ast.NamedExpr: _named,
        ast.withitem: _with,
    }


def class_of(space: Space) -> Space | None:
    """Return the class whose method a space is, or is in."""
    return next((around for around in space.around() if around.is_class), None)


DEEPEST = 40  # a chain of names, calls or assignments; no code of people is near it
MOST = 8  # origins of one name


class Origins:
    """Answers for one module.

    Args:
        walk: over the module.
        module: its dotted name, as far as its path shows.
    """

    def __init__(self, walk: Walk, module: str) -> None:
        self._stars = walk.stars
        self._seen: dict[
            object, list[str]
        ] = {}  # what is asked already: x = x.filter() is a circle
        self._module = f".{module}." if module else "."
        self._defined = {f"{self._module}{title}": space for title, space in walk.spaces.items()}

    def of(self, expression: ast.expr, space: Space, depth: int = 0) -> list[str]:
        """Return the origins that an expression may have; none if they cannot be known."""
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
        """Return the function or class of this file that an origin names."""
        return self._defined.get(origin)

    def imported(self, expression: ast.expr, space: Space) -> list[str]:
        """Return the origin of an imported plain name; none for other expressions and variables."""
        if not isinstance(expression, ast.Name):
            return []
        values = self._bound(expression.id, space) or []
        return [value for value in values if isinstance(value, str)]

    def methods(self, expression: ast.expr, space: Space) -> list[tuple[ast.Attribute, Space]]:
        """Yield the attribute that an expression is, then those that are assigned to what it names.

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
        """Return the class that an annotation names: ``Emits`` for ``Emits[Notify] | None``."""
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
        """Return a member of a class of this file, or of a class that it derives from."""
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
