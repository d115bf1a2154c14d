"""Values that hold others: which collection stands for which type."""

from __future__ import annotations

import collections
from collections import abc
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

__all__ = ["COLLECTIONS", "DEEPEST", "MAPPINGS", "SIZES"]


def _tuples(elements: SearchStrategy[Any], **sizes: Any) -> SearchStrategy[Any]:
    return st.lists(elements, **sizes).map(tuple)


def _deques(elements: SearchStrategy[Any], **sizes: Any) -> SearchStrategy[Any]:
    return st.lists(elements, **sizes).map(collections.deque)


# Hashable ones wherever the type leaves it open.
COLLECTIONS: dict[Any, Callable[..., SearchStrategy[Any]]] = {
    **dict.fromkeys((tuple, abc.Sequence, abc.Collection, abc.Iterable, abc.Reversible), _tuples),
    **dict.fromkeys((frozenset, abc.Set), st.frozensets),
    **dict.fromkeys((list, abc.MutableSequence), st.lists),
    **dict.fromkeys((set, abc.MutableSet), st.sets),
    collections.deque: _deques,
}
MAPPINGS = (dict, abc.Mapping, abc.MutableMapping)
DEEPEST = 5
SIZES = (None, 4, 2, 1, 1, 0)
"""How many values that hold others a collection has at the most, by depth."""
