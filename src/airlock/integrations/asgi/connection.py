"""The value of ``scope["airlock"]``: a request with a scope, or the reason that there is none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from itertools import takewhile

from airlock import Boundary, Scope
from airlock.emissions.region import Region
from airlock.emissions.segments import described, segment_of, unended
from airlock.errors import ReleaseError, ScopeStateError
from airlock.integrations.asgi.types import Message, Receive, Send
from airlock.integrations.base import Work
from airlock.scopes.current import here, outside, outwards

__all__ = [
    "KEY",
    "SERVED",
    "Connection",
    "Keep",
    "Request",
    "Response",
    "Unscoped",
    "around_others",
]

KEY = "airlock"
"""Key of the ``Connection`` in the ASGI scope."""

SERVED = set[Scope]()
"""The scopes of the requests that are being served now."""

Keep = Callable[[BaseException | None, int], bool]
"""``(error, status) -> bool``: whether to keep what a request emitted without a transaction.

``error`` is what left the app: None if nothing did, a ``ConnectionAbortedError`` if the client left
before the response was complete, and the app received that, or did not complete it. ``status`` is that
of the response, 500 if there was none.
"""


class Connection:
    """A connection that the middleware serves.

    Attributes:
        boundary: of the middleware.
        outer: that of the next middleware around it, which has another boundary.
        what: names it in messages.
    """

    __slots__ = ("boundary", "outer", "what")

    def __init__(self, boundary: Boundary, outer: Connection | None, what: str) -> None:
        self.boundary = boundary
        self.outer = outer
        self.what = what

    def around(self) -> Iterator[Connection]:
        """Yield this connection and those of the middlewares around it, outwards."""
        connection: Connection | None = self
        while connection is not None:
            yield connection
            connection = connection.outer


class Unscoped(Connection):
    """A websocket, or a lifespan."""

    __slots__ = ()

    @property
    def effects(self) -> Scope:
        """There is none.

        Raises:
            ScopeStateError: always.
        """
        raise ScopeStateError(
            f"a {self.what}",
            "has no scope: it is no unit of work, and its effects would wait for its end",
            "Open one for each message: `async with boundary.scope() as effects: ...`.",
        )


class Response:
    """The progress of a response.

    Attributes:
        status: 500 as long as there is none.
        started: its status has been sent.
        complete: its body has been sent, too.
        left: the app received, before that, that the client has left. What cuts off a body then may
            be followed by the end of a response, as Starlette's ``BaseHTTPMiddleware`` sends it.
    """

    # Its own object: the scope knows its ``keep``, and would be in a circle with a request.
    __slots__ = ("_keep", "complete", "left", "started", "status")

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self.status = 500
        self.started = self.complete = self.left = False

    def keep(self, error: BaseException | None) -> bool:
        """Return True if what was emitted without a transaction is to be kept."""
        if error is None and (self.left or (self.started and not self.complete)):
            error = ConnectionAbortedError("the client left before the response was complete")
        return self._keep(error, self.status)


class Request(Connection):
    """An HTTP request.

    Attributes:
        effects: its scope.
        response: how far it is.
    """

    __slots__ = ("_receive", "_send", "effects", "response")

    def __init__(
        self,
        boundary: Boundary,
        outer: Connection | None,
        work: Work,
        response: Response,
        *,
        receive: Receive,
        send: Send,
    ) -> None:
        self.boundary = boundary
        self.outer = outer
        self.what = work.what
        self.effects = work.scope
        self.response = response
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        """Pass on what the client sends, and note that it has left."""
        message = await self._receive()
        # A server sends this as well when the response is complete.
        if message["type"] == "http.disconnect" and not self.response.complete:
            self.response.left = True
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Pass on what the app sends.

        Raises:
            ReleaseError: it reports a success, and the transaction of an effect is still open.
        """
        kind = message["type"]
        if kind == "http.response.start":
            now, effects = here.get(), self.effects
            usual = now is effects.region and effects.release is None
            if not usual and message["status"] < 400:
                self._check_committed(now)
            self.response.status = message["status"]
            self.response.started = True
        elif kind in LAST and not message.get("more_body", False):
            self.response.complete = True
        return self._send(message)

    def _check_committed(self, now: Region) -> None:
        """Refuse to send a success while a commit may still fail."""
        # A dependency may have opened a scope of its own, which is current then.
        inside = takewhile(lambda region: region is not self.effects.region, outwards(now))
        scopes = {self.effects, *(region.scope for region in inside if region.scope is not None)}
        emitted = ", ".join(filter(None, map(uncommitted, scopes)))
        if emitted:
            raise ReleaseError(
                self.what,
                f"is about to respond, and has emitted {emitted} in a transaction that is still "
                "open: its commit may fail after the client has received a success",
                "Commit before the view returns, or in a dependency that ends before the response "
                'starts; in FastAPI, Depends(session, scope="function"). Nothing was sent.',
            )


LAST = ("http.response.body", "http.response.pathsend", "http.response.zerocopysend")
"""The messages that may end a response."""


def uncommitted(scope: Scope) -> str:
    """Return the intents emitted in a transaction that has written, and is still open; or nothing.

    One that only reads has nothing that its commit could fail to store.
    """
    if scope.release is None:
        return ""
    found = {segment for segment in unended(scope.region) if segment.transaction.wrote}
    return described(scope.region, lambda stamp: segment_of(stamp) in found) if found else ""


def around_others(now: Region, outer: Connection | None) -> Region:
    """Return the region around ``outer``, if this request runs inside it; else ``now``.

    A server may start a request in the context of the one before it (uvicorn does, for requests
    that are pipelined), and a view may call an app. Two requests are two units of work.
    """
    around = () if outer is None else outer.around()
    others = SERVED - {one.effects for one in around if isinstance(one, Request)}
    found = now
    for region in outwards(now):
        if region.scope in others and region.scope.region is region:
            found = outside(region)
    return found
