"""The entries of an outbox as a model, to be read: the outbox writes them, by statements of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import models

__all__ = ["OutboxEntry"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


if TYPE_CHECKING:
    Field = models.Field[Any, Any]
else:
    Field = models.Field


class IdField(Field):
    """A UUID as the outbox writes it: PostgreSQL's type, or text with hyphens on SQLite."""

    def db_type(self, connection: Any) -> str:
        return "uuid" if connection.vendor == "postgresql" else "text"

    def from_db_value(self, value: object, *_: object) -> str | None:
        return None if value is None else str(value)

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else str(value)


class OutboxEntry(models.Model):
    """An intent in the outbox. The table is made by the migration, with the outbox's own statements."""

    seq: models.BigIntegerField[int, int] = models.BigIntegerField(primary_key=True)
    intent_id = IdField("id")
    kind: models.TextField[str, str] = models.TextField()
    version: models.IntegerField[int, int] = models.IntegerField()
    envelope: models.TextField[str, str] = models.TextField()
    queue: models.TextField[str, str] = models.TextField()
    ordering_key: models.TextField[str | None, str | None] = models.TextField(null=True)
    dedupe_key: models.TextField[str | None, str | None] = models.TextField(null=True)
    state: models.SmallIntegerField[int, int] = models.SmallIntegerField(
        choices=[(0, "pending"), (1, "dead")]
    )
    attempts: models.IntegerField[int, int] = models.IntegerField()
    claims: models.IntegerField[int, int] = models.IntegerField()
    available_at: models.BigIntegerField[int, int] = models.BigIntegerField()
    lease_token: models.TextField[str | None, str | None] = models.TextField(null=True)
    leased_by: models.TextField[str | None, str | None] = models.TextField(null=True)
    created_at: models.BigIntegerField[int, int] = models.BigIntegerField()
    error: models.TextField[str | None, str | None] = models.TextField(null=True)

    objects: models.Manager[OutboxEntry]  # for type checkers

    class Meta:
        """Options of the model."""

        managed = False
        db_table = "airlock_outbox"
        verbose_name = "effect"
        verbose_name_plural = "effects"

    def __str__(self) -> str:
        return f"{self.kind} {self.intent_id}"

    @property
    def created(self) -> datetime:
        """The time at which it was recorded."""
        return _EPOCH + timedelta(microseconds=self.created_at)

    @property
    def due(self) -> datetime:
        """The time from which it may be delivered."""
        return _EPOCH + timedelta(microseconds=self.available_at)
