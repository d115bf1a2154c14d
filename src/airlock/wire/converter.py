"""``WireConverter``: cattrs' converter, with strict hooks for every type that has a form.

A read hook takes what JSON holds; a write hook returns what msgspec writes in the right form.
cattrs' own hooks coerce, and those of ``cattrs.preconf.msgspec`` do, so none of them is used. What
msgspec itself carries is in ``carried``. Types are checked by ``Schemas`` before.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from cattrs import Converter

from airlock.effects.fields import Field
from airlock.wire import classes, compounds, unions
from airlock.wire.choices import choice_of, is_choice
from airlock.wire.hints import arguments_of, bare
from airlock.wire.leaves import Leaf

__all__ = ["Read", "WireConverter", "Write"]

Read = Callable[..., Any]
Write = Callable[[Any], Any]


class WireConverter(Converter):
    """Makes the hooks of a type when it is first asked for them.

    Args:
        leaves: the forms of types whose values are not made of others.
        explain: find out what is wrong with a payload, and where; otherwise be fast.
        strict: refuse fields that a class does not have; otherwise leave them alone, since a newer
            sender may have them.
    """

    def __init__(
        self, leaves: Mapping[Any, Leaf], *, explain: bool = False, strict: bool = False
    ) -> None:
        super().__init__(detailed_validation=explain, forbid_extra_keys=strict)
        self.leaves = leaves
        self.fields: dict[Any, list[Field]] = {}
        """Caches of the classes met so far; to be cleared where a type could not be resolved."""
        self._open: set[tuple[str, Any]] = set()
        for matches, module in (
            (classes.is_class, classes),
            (compounds.is_compound, compounds),
            (unions.is_union, unions),
        ):
            self.register_structure_hook_factory(matches, module.reader)
            self.register_unstructure_hook_factory(matches, module.writer)

    def leaf(self, hint: Any) -> Leaf | None:
        """Return the form of a type whose values are not made of others; None for all others."""
        known = self.leaves.get(typing.get_origin(hint) or hint)
        return choice_of(hint) if known is None and is_choice(hint) else known

    def arguments_of(self, hint: Any) -> list[Field]:
        """Return the fields of a class that its constructor takes."""
        if hint not in self.fields:
            self.fields[hint] = arguments_of(hint)
        return self.fields[hint]

    def read(self, hint: Any) -> Read:
        """Return the hook that reads a type."""
        hint = bare(hint)
        leaf = self.leaf(hint)  # first: cattrs would look an IntEnum up as an int
        if leaf is not None:
            return leaf.read
        if ("read", hint) in self._open:  # in itself: its hook is looked up when there is one
            return partial(_read_as, self, hint)
        self._open.add(("read", hint))
        try:
            return self.get_structure_hook(hint)
        finally:
            self._open.remove(("read", hint))

    def write(self, hint: Any) -> Write:
        """Return the hook that writes a type."""
        hint = bare(hint)
        leaf = self.leaf(hint)
        if leaf is not None:
            return leaf.write
        if ("write", hint) in self._open:
            return partial(self.unstructure, unstructure_as=hint)
        self._open.add(("write", hint))
        try:
            return self.get_unstructure_hook(hint)
        finally:
            self._open.remove(("write", hint))


def _read_as(converter: WireConverter, hint: Any, value: Any, _: Any = None) -> Any:
    return converter.structure(value, hint)
