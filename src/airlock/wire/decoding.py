"""``Decoder``: from a message to the intent, or to what is wrong with it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import Raw

from airlock.errors import WireError
from airlock.wire.ciphers import Cipher
from airlock.wire.entries import Entries, Entry
from airlock.wire.message import Message, kind_and_version
from airlock.wire.problems import MisfitError
from airlock.wire.sealing import opened, refuse_plaintext
from airlock.wire.text import Limits
from airlock.wire.versions import Steps, Versions

__all__ = ["Decoder", "strictly"]

T = TypeVar("T")


class Decoder:
    """Makes intents of messages.

    Args:
        entries: of the classes that may pass.
        versions: the upcasters and new names that lead to them.
        cipher: opens what is sealed.
        limits: of what is sealed.
    """

    def __init__(
        self, entries: Entries, versions: Versions, cipher: Cipher | None, limits: Limits
    ) -> None:
        self._entries = entries
        self._versions = versions
        self._cipher = cipher
        self._limits = limits
        self.readers: dict[type[Any] | None, Callable[[Raw], Any]] = {}
        """Readers of classes whose data is read as it came, neither opened nor upcast."""

    def discard_cached(self) -> None:
        """Find out anew what is read as it came, since there is another upcaster or name."""
        self.readers.clear()

    def intent(self, message: Message) -> Any:
        """Return the intent of any message.

        Raises:
            WireError: there is none.
        """
        kind, version, _, sealed = message
        route = self._versions.route(kind, version)
        entry = self._entries.named(*route.end)
        if entry is None:
            raise self._unknown(kind, version)
        if route.end == (kind, version) and not entry.secrets and entry.cls not in self.readers:
            self.readers[entry.cls] = self._entries.reader(entry.cls)
        try:
            data = self._prepared(entry, route.steps, message)
            return self._entries.explain(entry.cls, data)
        except MisfitError as misfit:
            path, problem = misfit.described(secret=bool(entry.secrets) or sealed is not None)
        except RecursionError:
            path, problem = ".data", "is too deep"
        raise WireError(kind, version, f"${path}", problem)  # here, no value hangs on its context

    def _prepared(self, entry: Entry, steps: Steps, message: Message) -> Any:
        """Return the data with what was sealed, as of the version that is declared."""
        kind, version, data, sealed = message
        if not steps:
            refuse_plaintext(data, entry.secrets)
        if sealed is not None:
            if self._cipher is None:
                problem = "was not expected, for no field of this kind is sensitive"
                raise MisfitError(problem).within(".sealed")
            data = data | opened(self._cipher, self._limits, sealed, kind, version)
        data = copy.deepcopy(data) if steps else data  # upcasters may change what they are given
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
    """Return the content of a document.

    Raises:
        WireError: it cannot be read.
    """
    try:
        return read(document)
    except MisfitError as misfit:
        path, problem = misfit.described(secret=False)
    raise WireError(*kind_and_version(document), f"${path}", problem)
