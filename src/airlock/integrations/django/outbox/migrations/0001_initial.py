"""The tables of the outbox, as ``airlock outbox init`` makes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.db import migrations, models
from django.db.migrations.operations.base import Operation

from airlock.integrations.django.outbox.database import create_tables, drop_tables
from airlock.integrations.django.outbox.models import IdField


def create(_: Any, editor: Any) -> None:
    """Make the tables."""
    create_tables(editor.connection)


def drop(_: Any, editor: Any) -> None:
    """Drop the tables, with all that is in them."""
    drop_tables(editor.connection)


class Migration(migrations.Migration):
    """Tables by statements; a model that reads them."""

    initial = True
    dependencies: ClassVar[Sequence[tuple[str, str]]] = []
    operations: ClassVar[Sequence[Operation]] = [
        migrations.RunPython(create, drop),
        migrations.CreateModel(
            name="OutboxEntry",
            fields=[
                ("seq", models.BigIntegerField(primary_key=True, serialize=False)),
                ("intent_id", IdField(verbose_name="id")),
                ("kind", models.TextField()),
                ("version", models.IntegerField()),
                ("envelope", models.TextField()),
                ("queue", models.TextField()),
                ("ordering_key", models.TextField(null=True)),
                ("dedupe_key", models.TextField(null=True)),
                ("state", models.SmallIntegerField(choices=[(0, "pending"), (1, "dead")])),
                ("attempts", models.IntegerField()),
                ("claims", models.IntegerField()),
                ("available_at", models.BigIntegerField()),
                ("lease_token", models.TextField(null=True)),
                ("leased_by", models.TextField(null=True)),
                ("created_at", models.BigIntegerField()),
                ("error", models.TextField(null=True)),
            ],
            options={
                "verbose_name": "effect",
                "verbose_name_plural": "effects",
                "db_table": "airlock_outbox",
                "managed": False,
            },
        ),
    ]
