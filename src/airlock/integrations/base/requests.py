"""The scope of a request, for frameworks on ASGI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airlock.errors import SettingError
from airlock.scopes.scope import Scope

__all__ = ["scope_of_request"]


def scope_of_request(request: Mapping[str, Any], name: str) -> Scope:
    """Return the scope that the middleware opened for a request.

    Args:
        request: its ASGI scope.
        name: of what needs it, for the message.

    Raises:
        SettingError: there is no ``EffectsMiddleware`` around it.
        ScopeStateError: it is a websocket.
    """
    found = request.get("airlock")
    if found is None:
        raise SettingError(
            name,
            "EffectsMiddleware",
            "is not around this request, so it has no scope",
            "Add it: app.add_middleware(EffectsMiddleware, boundary=boundary), from "
            "airlock.integrations.asgi.",
        )
    scope: Scope = found.effects
    return scope
