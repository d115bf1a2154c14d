"""The session of a request: its transaction decides about the request's effects."""

import os
from collections.abc import AsyncIterator
from typing import Annotated

from airlock.integrations.fastapi import Effects
from airlock.integrations.sqlalchemy import on_commit
from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)


def new_engine() -> AsyncEngine:
    return create_async_engine(os.environ.get("SHOP_DATABASE", "sqlite+aiosqlite:///shop.sqlite"))


async def session_of_request(request: Request, effects: Effects) -> AsyncIterator[AsyncSession]:
    sessions: async_sessionmaker[AsyncSession] = request.app.state.sessions
    async with sessions.begin() as session:  # commits at its end, or rolls back
        effects.release_with(on_commit(session))
        yield session


# Function-scoped: it commits before the response starts. Otherwise the answer is refused.
Session = Annotated[AsyncSession, Depends(session_of_request, scope="function")]
