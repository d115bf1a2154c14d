"""No pages: tests that ask for one bring it with ``override_settings(ROOT_URLCONF=...)``."""

from __future__ import annotations

urlpatterns: list[object] = []
