"""The scope of a request, in Starlette; ``airlock.integrations.asgi`` has the middleware."""

from __future__ import annotations

from airlock import Scope
from airlock.errors import MissingExtraError
from airlock.integrations.base.requests import scope_of_request

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
    return scope_of_request(request.scope, "effects_of(request)")
