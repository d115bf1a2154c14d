"""Django is set up here as for the tests of the integration."""

from __future__ import annotations

from tests.integrations.django.conftest import _connections, _environment

__all__ = ["_connections", "_environment"]
