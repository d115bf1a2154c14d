"""``Context``: what is ambient where an intent is emitted, carried to where its handler runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from inspect import isawaitable
from typing import Any

from airlock.effects.options import Options
from airlock.effects.registry import describe
from airlock.errors import DeclarationError
from airlock.scopes.current import deliveries

__all__ = ["Context", "capturing", "restoring"]


class Context:
    """Base of contexts: override both methods. A tenant, a user, a language, what a log has bound.

    Example:
        >>> from contextlib import contextmanager
        >>> from contextvars import ContextVar
        >>> tenant = ContextVar("tenant", default="public")
        >>> class Tenant(Context):
        ...     def capture(self):
        ...         return {"tenant": tenant.get()}
        ...
        ...     @contextmanager
        ...     def restore(self, headers, /):
        ...         token = tenant.set(headers["tenant"])
        ...         yield
        ...         tenant.reset(token)
        >>> def notify(intent):
        ...     print(intent, "of", tenant.get())
        >>> with Boundary({NotifyWarehouse: notify}, context=[Tenant()]).scope() as effects:
        ...     token = tenant.set("acme")
        ...     effects.emit(NotifyWarehouse(42))
        ...     tenant.reset(token)
        NotifyWarehouse(order_id=42) of acme
    """

    def capture(self) -> Mapping[str, str]:
        """Return the headers that say what is ambient here; called at each emission."""
        return {}

    def restore(self, headers: Mapping[str, str], /) -> AbstractContextManager[object]:  # noqa: ARG002 - the base restores nothing
        """Return a context manager that is around each attempt of a handler.

        Args:
            headers: of the intent; those that all members share, of a batch.
        """
        return nullcontext()


Capture = Callable[[], Options | None]


def capturing(contexts: Sequence[Context]) -> Capture | None:
    """Return a function that makes options of what is ambient, for each emission; None for none.

    Raises:
        DeclarationError: one is no context.
    """
    for context in contexts:
        if not isinstance(context, Context):
            raise DeclarationError(
                f"Boundary(context=...) takes Context objects, not {describe(context)}."
            )
    if not contexts:
        return None
    last: Options | None = None

    def capture() -> Options | None:
        nonlocal last
        headers: dict[str, str] = {}
        for context in contexts:
            headers.update(context.capture())
        if not headers:
            return None
        options = last  # emissions of one context share it
        if options is None or options.headers != headers:
            options = last = Options(headers=headers)
        return options

    return capture


class restoring:  # noqa: N801 - used like a function, as an interceptor
    """Restore contexts around each attempt of a handler.

    Args:
        contexts: the first is the outermost.
    """

    def __init__(self, contexts: Sequence[Context]) -> None:
        self._contexts = tuple(contexts)

    def __call__(self, intent: Any, call_next: Callable[[Any], object]) -> object:
        headers = _shared_headers()
        with self._restored(headers):
            result = call_next(intent)
        return self._awaited(headers, result) if isawaitable(result) else result

    async def _awaited(self, headers: Mapping[str, str], result: Awaitable[object]) -> object:
        with self._restored(headers):
            return await result

    @contextmanager
    def _restored(self, headers: Mapping[str, str]) -> Iterator[None]:
        with ExitStack() as stack:
            for context in self._contexts:
                stack.enter_context(context.restore(headers))
            yield

    def __repr__(self) -> str:
        return f"restoring({', '.join(map(repr, self._contexts))})"


def _shared_headers() -> Mapping[str, str]:
    """Return the headers of the intent that is handled, or those that all of a batch share."""
    first, *rest = (one.headers for one in deliveries())
    if not rest:
        return first
    return {k: v for k, v in first.items() if all(other.get(k) == v for other in rest)}
