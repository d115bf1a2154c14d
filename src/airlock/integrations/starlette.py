"""The scope of a request, in Starlette; ``airlock.integrations.asgi`` has the middleware."""

from __future__ import annotations

from airlock import Scope
from airlock.errors import MissingExtraError, SettingError

try:
    from starlette.requests import HTTPConnection
except ImportError:
    raise MissingExtraError(__name__, "Starlette", "starlette") from None

__all__ = ["effects_of"]


def effects_of(request: HTTPConnection) -> Scope:
    """Return the scope that the middleware opened for a request.

    Args:
        request: that an endpoint or a middleware was given.

    Raises:
        SettingError: there is no ``EffectsMiddleware`` around it.
        ScopeStateError: it is a websocket.

    Example:
        >>> from starlette.requests import Request
        >>> from starlette.responses import PlainTextResponse
        >>> async def checkout(request: Request) -> PlainTextResponse:
        ...     effects_of(request).emit(NotifyWarehouse(42))
        ...     return PlainTextResponse("thank you")
    """
    found = request.scope.get("airlock")
    if found is None:
        raise SettingError(
            "effects_of(request)",
            "EffectsMiddleware",
            "is not around this request, so it has no scope",
            "Add it: app.add_middleware(EffectsMiddleware, boundary=boundary), from "
            "airlock.integrations.asgi.",
        )
    scope: Scope = found.effects
    return scope
