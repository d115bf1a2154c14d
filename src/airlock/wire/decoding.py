"""From what a message says to the intent, and what is wrong with it if there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from airlock.errors import WireError
from airlock.wire.ciphers import Cipher
from airlock.wire.entries import Entries, Entry
from airlock.wire.form import Misfit
from airlock.wire.message import Message, named
from airlock.wire.sealing import opened, refuse_clear
from airlock.wire.text import Limits
from airlock.wire.versions import Steps, Versions

__all__ = ["Decoder", "strictly"]

T = TypeVar("T")


class Decoder:
    """Makes intents of messages.

    Args:
        entries: of the classes that may pass.
        versions: what leads to them.
        cipher: opens what is sealed.
        limits: how large that may be.
    """

    def __init__(
        self, entries: Entries, versions: Versions, cipher: Cipher | None, limits: Limits
    ) -> None:
        self._entries = entries
        self._versions = versions
        self._cipher = cipher
        self._limits = limits

    def at_once(self, kind: str, version: int, data: Any) -> Any:
        """The intent of a message that is what most are. Any exception means that it is not."""
        entry = self._entries.named(kind, version)
        if entry is None or entry.secrets or type(version) is not int or not self._versions.empty:
            raise LookupError
        return entry.form.read(data, entry.cls)

    def intent(self, kind: str, version: int, data: dict[str, Any], sealed: str | None) -> Any:
        """The intent of any message.

        Raises:
            WireError: there is none.
        """
        if sealed is None:
            try:
                return self.at_once(kind, version, data)
            except Exception:  # noqa: BLE001, S110 - the other way is slower, and says what is wrong
                pass
        route = self._versions.route(kind, version)
        entry = self._entries.named(*route.end)
        if entry is None:
            raise self._unknown(kind, version)
        try:
            data = self._prepared(entry, route.steps, (kind, version, data, sealed))
            return self._entries.read(entry, data)
        except Misfit as misfit:
            path, problem = misfit.told(secret=bool(entry.secrets) or sealed is not None)
        except RecursionError:
            path, problem = ".data", "is too deep"
        raise WireError(kind, version, f"${path}", problem)  # here, no value hangs on its context

    def _prepared(self, entry: Entry, steps: Steps, message: Message) -> Any:
        """The data of a message, with what was sealed, as of the version that is declared."""
        kind, version, data, sealed = message
        if not steps:
            refuse_clear(data, entry.secrets)
        if sealed is not None:
            if self._cipher is None:
                problem = "was not expected, for no field of this kind is sensitive"
                raise Misfit(problem).within(".sealed")
            data = data | opened(self._cipher, self._limits, sealed, kind, version)
        for upcast in steps:
            data = upcast(data)
        return data

    def _unknown(self, kind: str, version: int) -> WireError:
        known = self._entries.versions(self._versions.newest(kind))
        if not known:
            return WireError(kind[:200], version, "$.kind", "is not declared here")
        listed = ", ".join(map(str, known))
        return WireError(kind, version, "$.version", f"is not declared here, only {listed}")


def strictly(read: Callable[[Any], T], document: Any) -> T:
    """What a document says.

    Raises:
        WireError: it cannot be read.
    """
    try:
        return read(document)
    except Misfit as misfit:
        path, problem = misfit.told(secret=False)
    raise WireError(*named(document), f"${path}", problem)
