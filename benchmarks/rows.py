"""The rows: which contenders run against each other, and where the bars are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from airlock import Dedupe, Drop
from benchmarks import contenders as own
from benchmarks import costs, django_release, imports, kit, others, outbox, plans, queues, web, wire
from benchmarks.measure import Bar, Contender, Row, Sample
from benchmarks.peer import NAME, Peer

LIMIT = "limit: stock attrs, list, dict"


def rows(peer: Peer) -> list[Row]:
    """Every row; those that import other libraries come last, for the sake of the heap."""
    return [
        *_emit(peer),
        *_flush(peer),
        *_policy(peer),
        *_memory(peer),
        *_closing(peer),
        *_million(),
        *_import(peer),
        *_kit(),
        *_wire(),
        *_plans(),
        *costs.rows(),
        *_others(),
        *web.rows(),
        *queues.rows(),
        *django_release.rows(),
        *outbox.rows(),
    ]


def _emit(peer: Peer) -> Iterator[Row]:
    n = 50_000
    yield Row(
        "emit",
        "emit a built intent, ambient, policy Drop(Other) that does not refuse",
        "ns, net of the empty loop",
        [
            _line("airlock emit", lambda: own.emitting(n, Drop(own.Other))),
            _line(f"{NAME} enqueue", _ask(peer, "emit", n=n), Bar.AT_LEAST, 30),
        ],
    )


def _flush(peer: Peer) -> Iterator[Row]:
    for n, repeat, of_limit in ((1_000, 10, 1.05), (100_000, 1, 0.97)):
        bar = Bar.AT_LEAST if n == 1_000 else None
        yield Row(
            "flush",
            f"build, emit and flush {n:,} intents, outcomes included",
            "ns per intent",
            [
                Contender("airlock, ambient", own.flushing(own.ambient(), n, repeat)),
                _line(NAME, _ask(peer, "flush", n=n, repeat=repeat), bar, 6),
                _limit(n, repeat, of_limit),
                Contender("airlock, effects.emit", own.flushing(own.explicit, n, repeat)),
            ],
        )


def _policy(peer: Peer) -> Iterator[Row]:
    for n, repeat in ((1_000, 10), (100_000, 1)):
        drop, dedupe = own.ambient(Drop(own.Other)), own.ambient(Dedupe())
        yield Row(
            "policy",
            f"the same with a policy that drops another type, {n:,} intents",
            "ns per intent",
            [
                Contender("airlock, Drop(Other)", own.flushing(drop, n, repeat)),
                _limit(n, repeat, 1.5),
                _line(
                    f"{NAME}, BlockTasks",
                    _ask(peer, "flush", n=n, repeat=repeat, policy="block"),
                ),
            ],
        )
        yield Row(
            "policy",
            f"the same with Dedupe(), {n:,} intents that are all different",
            "ns per intent",
            [
                Contender("airlock, Dedupe()", own.flushing(dedupe, n, repeat)),
                _limit(n, repeat, 2.5),
            ],
        )


def _memory(peer: Peer) -> Iterator[Row]:
    n = 100_000
    yield Row(
        "memory",
        f"a buffered intent with one int, {n:,} of them",
        "bytes per intent",
        [
            _line("airlock", lambda: own.weighing(n), Bar.VALUE, 80),
            _line(NAME, _ask(peer, "memory", n=n)),
            _line("limit: stock attrs, list", lambda: own.weighing_limit(n)),
        ],
        rounds=3,
        digits=2,  # the bar is a whole number, and it is close
    )


def _closing(peer: Peer) -> Iterator[Row]:
    n = 10_000
    yield Row(
        "closing",
        f"close 100 nested scopes that hold {n:,} intents together; exits and flush",
        "µs in all",
        [
            _line("airlock, 100 scopes", lambda: own.closing(100, n)),
            _line("airlock, 1 scope", lambda: own.closing(1, n), Bar.AT_MOST, 1.3),
            _line(f"{NAME}, 100 scopes", _ask(peer, "closing", depth=100, n=n)),
            _line(f"{NAME}, 1 scope", _ask(peer, "closing", depth=1, n=n)),
        ],
    )


def _million() -> Iterator[Row]:
    n = 1_000_000
    yield Row(
        "million",
        "build, emit and flush 1,000,000 intents in one scope",
        "ns per intent",
        [
            Contender("airlock, ambient", own.flushing(own.ambient(), n)),
            _limit(n, 1, 0.97),
        ],
        rounds=9,
    )


def _import(peer: Peer) -> Iterator[Row]:
    yield Row(
        "import",
        "import in a fresh interpreter",
        "ms",
        [
            _line("airlock", lambda: imports.importing(imports.AIRLOCK)),
            _line(
                "attrs and dependency_injector",
                lambda: imports.importing(imports.BASE),
                Bar.AT_MOST,
                1.25,
            ),
            _line(NAME, lambda: imports.importing_peer(peer)),
        ],
    )
    yield Row(
        "import",
        "packages that import airlock loads and attrs and dependency_injector do not",
        "packages",
        [_line("airlock", imports.loading, Bar.VALUE, 0)],
        rounds=1,
    )


def _kit() -> Iterator[Row]:
    n = 200
    yield Row(
        "kit",
        "start of pytest",
        "ms",
        [
            _line("without the plugin", imports.starting),
            _line(
                "with it, unused", partial(imports.starting, "-p", "airlock"), Bar.OVER_FIRST, 30
            ),
        ],
    )
    yield Row(
        "kit",
        f"a test that asserts {kit.EFFECTS} effects",
        "µs per test",
        [
            _line("recorded, then ==", lambda: kit.comparing(n), Bar.VALUE, 1_000),
            _line("recorded, in_order(...)", lambda: kit.saying(n), Bar.VALUE, 1_000),
            _line("a plain buffer, then ==", lambda: kit.buffering(n)),
        ],
    )


def _wire() -> Iterator[Row]:
    n, cattrs = 500, partial(wire.cattrs, "orjson")
    yield Row(
        "wire",
        f"encode a message of {wire.TYPES} types, four fields, one a Decimal",
        "ns per message",
        [
            Contender("airlock", wire.encoding(wire.airlock, n)),
            Contender("cattrs tagged union, orjson", wire.encoding(cattrs, n), Bar.AT_LEAST, 4),
            Contender("pydantic v2", wire.encoding(wire.pydantic, n)),
            Contender("msgspec", wire.encoding(wire.msgspec, n)),
        ],
    )
    yield Row(
        "wire",
        "decode it, strictly: no coercion, within limits",
        "ns per message",
        [
            Contender("airlock", wire.decoding(wire.airlock, n)),
            Contender("cattrs tagged union, orjson", wire.decoding(cattrs, n), Bar.AT_LEAST, 2),
            Contender("pydantic v2, the same JSON", wire.decoding(wire.pydantic, n)),
            Contender("msgspec", wire.decoding(wire.msgspec, n)),
        ],
    )
    for word, taken in (("encode", wire.encoding), ("decode", wire.decoding)):
        yield Row(
            "wire",
            f"{word} one whose class msgspec carries as it is, a string for the Decimal",
            "ns per message",
            [
                Contender("airlock", taken(wire.airlock_carried, n)),
                Contender("msgspec", taken(wire.msgspec_carried, n), Bar.AT_MOST, 2),
            ],
        )
    envelope = wire.airlock_envelope
    yield Row(
        "wire",
        "an envelope, with id, options and headers",
        "ns per envelope",
        [
            Contender("encode", wire.encoding(envelope, n), Bar.VALUE, 1_500),
            Contender("decode", wire.decoding(envelope, n), Bar.VALUE, 4_000),
        ],
    )


def _plans() -> Iterator[Row]:
    n = 2_000
    yield Row(
        "plans",
        f"a plan of {n:,} effects",
        "µs per effect",
        [
            _line("emitted and held", lambda: plans.holding(n)),
            _line("made: scope.plan()", lambda: plans.making(n)),
            _line("read from disk", lambda: plans.reading(n)),
            _line("applied, journal in memory", lambda: plans.applying_in_memory(n)),
            _line("applied, journal on disk", lambda: plans.applying(n)),
        ],
        rounds=5,
    )
    yield Row(
        "plans",
        "the most memory that it takes to apply a plan from disk",
        "kB",
        [
            _line("8,000 effects", lambda: plans.weighing(8_000)),
            _line("2,000 effects", lambda: plans.weighing(2_000), Bar.AT_MOST, 1.1),
        ],
        rounds=1,
    )


def _others() -> Iterator[Row]:
    for n, repeat in ((1_000, 5), (10_000, 1)):
        yield Row(
            "others",
            f"other libraries on {n:,} intents",
            "ns per intent",
            [
                Contender("airlock, ambient", own.flushing(own.ambient(), n, repeat)),
                Contender(LIMIT, own.flushing(own.limit, n, repeat)),
                Contender("Django on_commit", own.flushing(others.django, n, repeat)),
                Contender("effect", own.flushing(others.effect, n, repeat)),
                Contender(
                    "blinker, which does not buffer", own.flushing(others.blinker, n, repeat)
                ),
            ],
        )


def _line(
    name: str, take: Callable[[], Sample], bar: Bar | None = None, limit: float = 0.0
) -> Contender:
    """A contender that needs no preparation."""
    return Contender(name, lambda: take, bar, limit)


def _ask(peer: Peer, task: str, **arguments: Any) -> Callable[[], Sample]:
    return lambda: peer.ask(task, **arguments)


def _limit(n: int, repeat: int, at_most: float) -> Contender:
    return Contender(LIMIT, own.flushing(own.limit, n, repeat), Bar.AT_MOST, at_most)
