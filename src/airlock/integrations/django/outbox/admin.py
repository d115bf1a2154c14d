"""The admin of the outbox: look at effects, run failed ones again, discard them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils.timezone import localtime

from airlock.errors import AirlockError
from airlock.integrations.django.conf import boundary
from airlock.integrations.django.outbox.database import DjangoOutbox
from airlock.integrations.django.outbox.models import OutboxEntry

if TYPE_CHECKING:
    Admin = admin.ModelAdmin[OutboxEntry]
else:
    Admin = admin.ModelAdmin

__all__ = ["OutboxEntryAdmin"]


class AgeFilter(admin.SimpleListFilter):
    """Entries by how long ago they were recorded."""

    title = "age"
    parameter_name = "age"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002 - named as Django calls it
        return [("60", "over a minute"), ("3600", "over an hour"), ("86400", "over a day")]

    def queryset(
        self,
        request: HttpRequest,  # noqa: ARG002 - as above
        queryset: QuerySet[OutboxEntry],
    ) -> QuerySet[OutboxEntry] | None:
        value = self.value()
        if value is None or not value.isdecimal():
            return None
        limit = datetime.now(UTC) - timedelta(seconds=int(value))
        return queryset.filter(created_at__lt=int(limit.timestamp() * 1_000_000))


class StateFilter(admin.SimpleListFilter):
    """Entries by what is to become of them."""

    title = "state"
    parameter_name = "is"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002 - named as Django calls it
        return [("pending", "pending"), ("failed", "failed"), ("dead", "dead")]

    def queryset(
        self,
        request: HttpRequest,  # noqa: ARG002 - as above
        queryset: QuerySet[OutboxEntry],
    ) -> QuerySet[OutboxEntry] | None:
        if self.value() == "pending":
            return queryset.filter(state=0)
        if self.value() == "dead":
            return queryset.filter(state=1)
        if self.value() == "failed":
            return queryset.exclude(state=0, attempts=0)
        return None


@admin.register(OutboxEntry)
class OutboxEntryAdmin(Admin):
    """A list of the effects in the outbox. Nothing is added or edited here."""

    list_display = ("kind", "shown_state", "attempts", "recorded", "due", "problem")
    list_filter = (StateFilter, "kind", AgeFilter)
    search_fields = ("kind", "error")
    ordering = ("-seq",)
    actions = ("retry", "discard")
    fields = (
        "intent_id",
        "intent",
        "shown_state",
        "attempts",
        "recorded",
        "due",
        "queue",
        "ordering_key",
        "dedupe_key",
        "leased_by",
        "problem",
        "trace",
    )
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - as above
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - as above
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - as above
        return False

    def has_discard_permission(self, request: HttpRequest) -> bool:
        """Return True for those who may delete entries."""
        return request.user.has_perm("airlock_outbox.delete_outboxentry")  # type: ignore[union-attr]  # Django's own mixin

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Return True for those who may change entries."""
        return request.user.has_perm("airlock_outbox.change_outboxentry")  # type: ignore[union-attr]  # as above

    # -- columns ----------------------------------------------------------------------------------

    @admin.display(description="intent")
    def intent(self, entry: OutboxEntry) -> str:
        """Return the intent as its repr, which hides sensitive fields."""
        try:
            return repr(outbox_of(entry).wire.decode(entry.envelope.encode()).intent)
        except AirlockError as error:
            return f"cannot be read: {error}"

    @admin.display(description="state", ordering="state")
    def shown_state(self, entry: OutboxEntry) -> str:
        """Return the state, in a word."""
        if entry.state:
            return "dead"
        if entry.lease_token is not None:
            return "leased"
        return "retrying" if entry.attempts else "pending"

    @admin.display(ordering="created_at")
    def recorded(self, entry: OutboxEntry) -> datetime:
        """Return the time at which it was recorded."""
        return localtime(entry.created)

    @admin.display(ordering="available_at")
    def due(self, entry: OutboxEntry) -> datetime:
        """Return the time from which it may be delivered."""
        return localtime(entry.due)

    @admin.display(description="error")
    def problem(self, entry: OutboxEntry) -> str:
        """Return the last error, in a line."""
        found = json.loads(entry.error) if entry.error else {}
        return f"{found['type']}: {found['message']}" if found else "-"

    @admin.display(description="traceback")
    def trace(self, entry: OutboxEntry) -> str:
        """Return the traceback of the last error."""
        return str((json.loads(entry.error) if entry.error else {}).get("traceback") or "-")

    # -- actions ----------------------------------------------------------------------------------

    @admin.action(description="Run selected effects again", permissions=["retry"])
    def retry(self, request: HttpRequest, chosen: QuerySet[OutboxEntry]) -> None:
        """Make failed entries due now, with all their attempts before them."""
        free = chosen.filter(lease_token=None).exclude(state=0, attempts=0)
        count = free.update(state=0, attempts=0, claims=0, available_at=F("created_at"))
        self.message_user(request, f"{count} will be delivered by the next relay.")

    @admin.action(description="Discard selected effects", permissions=["discard"])
    def discard(self, request: HttpRequest, chosen: QuerySet[OutboxEntry]) -> None:
        """Delete entries that no relay is working on."""
        free = chosen.filter(lease_token=None)
        leased = chosen.exclude(lease_token=None).count()
        count, _ = free.delete()
        self.message_user(request, f"{count} discarded.")
        if leased:
            text = f"{leased} are being delivered now, and were left."
            self.message_user(request, text, messages.WARNING)


def outbox_of(entry: OutboxEntry) -> DjangoOutbox:
    """Return the outbox of the project's boundary that an entry is in, or one made for its queue."""
    found = (one for one in boundary().outboxes if isinstance(one, DjangoOutbox))
    for one in found:
        if one.queue == entry.queue:
            return one
    return DjangoOutbox(entry._state.db or "default", queue=entry.queue)  # noqa: SLF001 - Django's documented attribute
