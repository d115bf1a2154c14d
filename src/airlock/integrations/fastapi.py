"""The scope of a request, as a dependency of FastAPI; ``airlock.integrations.asgi`` has the middleware.

A session that is made in a dependency decides about the effects of its request::

    async def session(effects: Effects) -> AsyncIterator[AsyncSession]:
        async with sessions.begin() as session:
            effects.release_with(on_commit(session))
            yield session


    Session = Annotated[AsyncSession, Depends(session, scope="function")]

``scope="function"``, as other dependencies end after the response has been sent.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import airlock
from airlock import Scope
from airlock.errors import MissingExtraError
from airlock.integrations.base.requests import scope_of_request

try:
    from fastapi import Depends
    from fastapi.requests import HTTPConnection
except ImportError:
    raise MissingExtraError(__name__, "FastAPI", "fastapi") from None

__all__ = ["Effects", "Emits", "effects_of"]

IntentT = TypeVar("IntentT", bound=airlock.Intent)


async def effects_of(request: HTTPConnection) -> Scope:
    """Return the scope that the middleware opened for a request; ``Effects`` depends on this.

    Args:
        request: given by FastAPI.

    Raises:
        SettingError: there is no ``EffectsMiddleware`` around it.
        ScopeStateError: it is a websocket.
    """
    return scope_of_request(request.scope, "Effects")


Effects = Annotated[Scope, Depends(effects_of)]
"""``effects: Effects`` in a route or a dependency, ``def`` or ``async def``: the scope of the request."""

Emits = Annotated[airlock.Emits[IntentT], Depends(effects_of)]
"""``effects: Emits[NotifyWarehouse | SendEmail]``: the same, to emit these and nothing else."""
