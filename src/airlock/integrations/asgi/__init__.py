"""A scope for each HTTP request, in any ASGI framework: pure middleware that imports none of them.

``scope["airlock"].effects`` is the scope of the request, where ``scope`` is the ASGI one. What
Starlette and FastAPI add to that is in ``airlock.integrations.starlette`` and
``airlock.integrations.fastapi``.
"""

from __future__ import annotations

from airlock.integrations.asgi.connection import KEY, Keep, Request
from airlock.integrations.asgi.middleware import EffectsMiddleware

__all__ = ["KEY", "EffectsMiddleware", "Keep", "Request"]
