"""The tables of the outbox, for PostgreSQL and SQLite: made, checked, and brought up to date.

Times are microseconds since the epoch, by the clock of the database.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    event,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from airlock.errors import OutboxSchemaError
from airlock.outbox.database import Cursor

__all__ = ["VERSION", "check", "create", "drop", "metadata", "migrate", "require", "tables"]

VERSION = 1
"""Version of the tables. Code works with tables that are one version ahead, which only add."""

FILLFACTOR = "ALTER TABLE airlock_outbox SET (fillfactor = 85)"
"""Room on each page for the new version of a row that is claimed."""

NAMES = ("airlock_outbox", "airlock_outbox_pauses", "airlock_outbox_schema")


def tables(metadata: MetaData) -> tuple[Table, ...]:
    """Add the tables of the outbox to a ``MetaData``, so that Alembic sees them.

    Args:
        metadata: of the application.

    Returns:
        The tables: of entries, of pauses, of the schema's version.

    Example:
        >>> from sqlalchemy import MetaData
        >>> from airlock.outbox import tables
        >>> [table.name for table in tables(MetaData())]
        ['airlock_outbox', 'airlock_outbox_pauses', 'airlock_outbox_schema']
    """
    big = BigInteger().with_variant(Integer, "sqlite")
    entries = Table(
        "airlock_outbox",
        metadata,
        Column("seq", big, Identity(), primary_key=True),
        Column("intent_id", Uuid().with_variant(Text, "sqlite"), nullable=False, unique=True),
        Column("kind", Text, nullable=False),
        Column("version", Integer, nullable=False),
        Column("envelope", Text, nullable=False),
        Column("queue", Text, nullable=False),
        Column("ordering_key", Text),
        Column("dedupe_key", Text),
        Column("state", SmallInteger, nullable=False, server_default=text("0")),
        Column("attempts", Integer, nullable=False, server_default=text("0")),
        Column("claims", Integer, nullable=False, server_default=text("0")),
        Column("available_at", BigInteger, nullable=False),
        Column("lease_token", Text),
        Column("leased_by", Text),
        Column("created_at", BigInteger, nullable=False),
        Column("error", Text),
        sqlite_autoincrement=True,  # a seq is never used twice
    )
    event.listen(entries, "after_create", DDL(FILLFACTOR).execute_if(dialect="postgresql"))  # type: ignore[no-untyped-call]  # as it is there
    c = entries.c
    leased = "lease_token IS NOT NULL"
    pending, ordered = "state = 0", "ordering_key IS NOT NULL AND state = 0"
    dedupe = "dedupe_key IS NOT NULL AND state = 0"
    for name, columns, where, unique in (
        ("airlock_outbox_due", (c.queue, c.available_at, c.seq), pending, False),
        ("airlock_outbox_leased", (c.queue, c.available_at, c.seq), leased, False),
        ("airlock_outbox_order", (c.queue, c.ordering_key, c.seq), ordered, False),
        ("airlock_outbox_dedupe", (c.kind, c.dedupe_key), dedupe, True),
    ):
        Index(
            name,
            *columns,
            unique=unique,
            postgresql_where=text(where),
            sqlite_where=text(where),
        )
    pauses = Table(
        "airlock_outbox_pauses",
        metadata,
        Column("queue", Text, nullable=False),
        Column("kind", Text, nullable=False),
        PrimaryKeyConstraint("queue", "kind"),
    )
    versions = Table(
        "airlock_outbox_schema",
        metadata,
        Column("version", Integer, primary_key=True, autoincrement=False),
        Column("applied_at", BigInteger, nullable=False),
    )
    return entries, pauses, versions


metadata = MetaData()
"""The tables of the outbox alone."""
tables(metadata)


def create(c: Cursor) -> None:
    """Make the tables that are not there."""
    dialect = postgresql.dialect() if c.dialect == "postgresql" else sqlite.dialect()  # type: ignore[no-untyped-call]  # as it is there
    for table in metadata.sorted_tables:
        c.execute(str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            c.execute(str(CreateIndex(index, if_not_exists=True).compile(dialect=dialect)))
    if c.dialect == "postgresql":
        c.execute(FILLFACTOR)
    c.execute(
        "INSERT INTO airlock_outbox_schema (version, applied_at) "
        f"SELECT {VERSION}, {c.now} WHERE NOT EXISTS (SELECT 1 FROM airlock_outbox_schema)"
    )


def drop(c: Cursor) -> None:
    """Drop the tables, with all that is in them."""
    for name in NAMES:
        c.execute(f"DROP TABLE IF EXISTS {name}")


def migrate(c: Cursor) -> None:
    """Bring the tables to the version of this program; make those that are not there."""
    create(c)
    found = version(c)
    if found is not None and found < VERSION:
        c.execute(
            f"INSERT INTO airlock_outbox_schema (version, applied_at) VALUES ({VERSION}, {c.now})"
        )


def version(c: Cursor) -> int | None:
    """Return the version of the tables; None if there are none.

    Tables that a migration of the application made have no row about it: those are as that has them.
    """
    if "airlock_outbox_schema" not in _tables(c):
        return None
    rows = c.execute("SELECT max(version) FROM airlock_outbox_schema")
    found: int = rows[0][0] or VERSION
    return found


def require(c: Cursor) -> None:
    """Refuse tables that this program cannot work with.

    Raises:
        OutboxSchemaError: there are none, or their version is too old or too new.
    """
    found = version(c)
    if found is None:
        raise OutboxSchemaError(
            "the database of the outbox",
            "has no tables",
            "Make them: `airlock outbox init`, or the migration",
        )
    if found < VERSION:
        problem = f"has tables of version {found}, and this program needs version {VERSION}"
        raise OutboxSchemaError(
            "the database of the outbox", problem, "Bring them up to date: `airlock outbox migrate`"
        )
    if found > VERSION + 1:
        problem = f"has tables of version {found}, and this program knows version {VERSION}"
        raise OutboxSchemaError(
            "the database of the outbox",
            problem,
            "Install the airlock-effects that the tables are of",
        )


def check(c: Cursor) -> list[str]:
    """Return the differences between the tables and what they should be, as sentences."""
    found = _tables(c)
    missing = [name for name in NAMES if name not in found]
    if missing:
        return [f"The table {name} is missing." for name in missing]
    problems = list[str]()
    try:
        require(c)
    except OutboxSchemaError as error:
        problems.append(f"{error}")
    for table in metadata.sorted_tables:
        columns = _columns(c, table.name)
        problems += [
            f"The table {table.name} has no column {column.name}."
            for column in table.columns
            if column.name not in columns
        ]
        indexes = _indexes(c, table.name)
        problems += [
            f"The index {index.name} is missing."
            if str(index.name) not in indexes
            else f"The index {index.name} is another one: {indexes[str(index.name)]}"
            for index in table.indexes
            if not _alike(index, indexes.get(str(index.name), ""))
        ]
    return sorted(problems)


def _alike(index: Index, found: str) -> bool:
    where = str(index.dialect_options["sqlite"]["where"]).lower()
    plain = found.lower().replace("(", "").replace(")", "").replace('"', "")
    columns = ", ".join(column.name for column in index.columns)
    unique = "create unique" in plain
    return columns in plain and plain.endswith(f"where {where}") and unique == bool(index.unique)


def _tables(c: Cursor) -> set[str]:
    names = ", ".join(f"'{name}'" for name in NAMES)
    if c.dialect == "postgresql":  # those in the schemas of the search path
        where = f"relname IN ({names}) AND relkind IN ('r', 'p') AND pg_table_is_visible(oid)"
        rows = c.execute(f"SELECT relname FROM pg_class WHERE {where}")
    else:
        rows = c.execute(
            f"SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ({names})"
        )
    return {name for (name,) in rows}


def _columns(c: Cursor, table: str) -> set[str]:
    if c.dialect == "postgresql":
        rows = c.execute(
            "SELECT attname FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped "
            f"AND attrelid = CAST('{table}' AS regclass)"
        )
    else:
        rows = c.execute(f"SELECT name FROM pragma_table_info('{table}')")
    return {name for (name,) in rows}


def _indexes(c: Cursor, table: str) -> dict[str, str]:
    if c.dialect == "postgresql":
        rows = c.execute(
            "SELECT c.relname, pg_get_indexdef(c.oid) FROM pg_index i "
            f"JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = CAST('{table}' AS regclass)"
        )
    else:
        rows = c.execute(
            f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = '{table}' "
            "AND sql IS NOT NULL"
        )
    return dict(rows)
