"""A module that nobody has imported when the first message comes: it declares the intent."""

from __future__ import annotations

from airlock import Boundary, intent

GOT = list["Lazy"]()


@intent(kind="tests.lazily")
class Lazy:
    number: int


boundary = Boundary({Lazy: GOT.append})


def make() -> Boundary:
    return boundary
