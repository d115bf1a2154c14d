"""A release for plain ``sqlite3`` connections, and the reference for writing others.

A ``Connection`` compares ``in_transaction`` before and after whatever may change it, and reports to
``Segment`` objects what became of its transactions and savepoints. The transaction itself is the
only source of truth: nothing is assumed about isolation levels or ``autocommit``.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import lru_cache
from threading import RLock
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, TypeVarTuple, overload

import attrs

from airlock.errors import ReleaseError
from airlock.release import OnFlushError, Release, Segment, check_on_flush_error

__all__ = ["Connection", "Cursor", "connect", "on_commit"]

Args = TypeVarTuple("Args")
C = TypeVar("C", bound=sqlite3.Cursor)

HOW_TO_OPEN = (
    "Open it with airlock.integrations.sqlite3.connect(path), or with "
    "sqlite3.connect(path, factory=airlock.integrations.sqlite3.Connection)."
)


def connect(database: Any, **options: Any) -> Connection:
    """Open a connection that reports its commits and rollbacks.

    Args:
        database: as for ``sqlite3.connect``.
        **options: the keyword arguments of ``sqlite3.connect``, but for ``factory``.

    Raises:
        sqlite3.Error: as ``sqlite3.connect`` does.

    Example:
        >>> from airlock.integrations.sqlite3 import connect
        >>> connection = connect(":memory:")
        >>> connection.execute("SELECT 42").fetchone()
        (42,)
        >>> connection.close()
    """
    return sqlite3.connect(database, factory=Connection, **options)


def on_commit(connection: Connection, *, on_flush_error: OnFlushError = "report") -> Release:
    """Deliver what a scope emits when the connection's transaction commits.

    What was emitted in a transaction or savepoint that is rolled back is discarded. What was
    emitted before a transaction begins belongs to the next one. If none begins, or it wrote nothing
    and the connection is closed, the block of the scope decides.

    Args:
        connection: the one whose transactions decide.
        on_flush_error: what to do with an error of a flush that a commit set off, which cannot be
            undone by then: ``"report"`` logs it, ``"raise"`` raises it from the commit. It is in
            the scope's report either way.

    Returns:
        A release for ``boundary.scope(release=...)``.

    Raises:
        ReleaseError: it is a plain ``sqlite3.Connection``, which does not report its commits.
        DeclarationError: ``on_flush_error`` is something else.

    Example:
        >>> from airlock.integrations.sqlite3 import connect, on_commit
        >>> connection = connect(":memory:", isolation_level=None)
        >>> with boundary.scope(release=on_commit(connection)) as effects:
        ...     _ = connection.execute("BEGIN")
        ...     effects.emit(NotifyWarehouse(42))
        ...     _ = connection.execute("SAVEPOINT reward")
        ...     effects.emit(NotifyWarehouse(43))
        ...     _ = connection.execute("ROLLBACK TO reward")
        ...     connection.commit()
        >>> effects.report
        <Report: 1 delivered, 1 discarded>
        >>> connection.close()
    """
    check_on_flush_error("on_commit", on_flush_error)
    return OnCommit(reporting(connection, "on_commit()"), on_flush_error)


def reporting(connection: object, who: str) -> Connection:
    """Return the connection, if it is one that reports its commits."""
    if isinstance(connection, Connection):
        return connection
    kind = f"{type(connection).__module__}.{type(connection).__qualname__}"
    raise ReleaseError(
        who, f"was given a plain {kind}, which does not report its commits", HOW_TO_OPEN
    )


@attrs.frozen(eq=False)
class OnCommit:
    """The ``Release`` of a connection."""

    connection: Connection
    on_flush_error: OnFlushError

    def segment(self) -> Segment:
        return self.connection.transactions.innermost

    def identity(self) -> Hashable | None:
        """Return the database whose transactions decide."""
        from airlock.outbox.database import identity_of  # noqa: PLC0415 - only where one records

        return identity_of(self.connection)


class Connection(sqlite3.Connection):
    """A connection that reports its commits and rollbacks, in every isolation mode.

    Made by ``connect``, or ``sqlite3.connect(path, factory=Connection)``. It behaves as any other.
    Its cursors are ``Cursor`` objects; what is executed through others goes unseen.

    Attributes:
        transactions: the open transaction and its savepoints, for the release.

    Example:
        >>> import sqlite3
        >>> from airlock.integrations.sqlite3 import Connection
        >>> connection = sqlite3.connect(":memory:", factory=Connection)
        >>> with connection:
        ...     _ = connection.execute("CREATE TABLE orders (id INTEGER)")
        >>> connection.close()
    """

    transactions: Transactions

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.transactions = Transactions()
        self.transactions.look(self)

    # sqlite3's own execute methods would do, but that they use cursor() is nowhere promised

    def execute(self, sql: str, parameters: Any = (), /) -> Cursor:
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Cursor:
        return self.cursor().executemany(sql, parameters)

    def executescript(self, sql_script: str, /) -> Cursor:
        return self.cursor().executescript(sql_script)

    @overload
    def cursor(self, factory: None = None) -> Cursor: ...
    @overload
    def cursor(self, factory: Callable[[sqlite3.Connection], C]) -> C: ...
    def cursor(self, factory: Any = None) -> Any:
        """Return a cursor; ``factory`` must make a ``Cursor``.

        Raises:
            ReleaseError: it made another one, whose commits would go unseen.
        """
        make: Any = Cursor if factory is None else factory
        cursor = super().cursor(make)
        if not isinstance(cursor, Cursor):
            raise ReleaseError(
                "cursor()",
                f"was asked for a {type(cursor).__qualname__}, which does not report its commits",
                "Derive it from airlock.integrations.sqlite3.Cursor.",
            )
        return cursor

    def commit(self) -> None:
        self.transactions.run(self, self._ending("COMMIT"), super().commit)

    def rollback(self) -> None:
        self.transactions.run(self, self._ending("ROLLBACK"), super().rollback)

    def close(self) -> None:
        self.transactions.run(self, "", super().close)

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None, /
    ) -> Literal[False]:
        if kind is None:
            self.transactions.run(self, "", self._commit_or_roll_back)
        else:
            self.rollback()
        return False

    def _commit_or_roll_back(self) -> None:
        try:
            self.commit()
        except sqlite3.Error:  # what sqlite3 does too: a failed COMMIT would keep its locks
            self.rollback()
            raise

    def __setattr__(self, name: str, value: Any) -> None:
        """Two attributes of a connection commit when they are set."""
        if (name, value) == ("isolation_level", None):
            self.transactions.run(self, self._ending("COMMIT"), super().__setattr__, name, value)
        elif name == "autocommit":
            ending = "COMMIT" if value is True else ""
            self.transactions.run(self, ending, super().__setattr__, name, value)
        else:
            super().__setattr__(name, value)

    def _ending(self, statement: str) -> str:
        """Return what commit() or rollback() execute: nothing, where ``autocommit`` is True."""
        return "" if autocommit(self) is True else statement


class Cursor(sqlite3.Cursor):
    """The cursor of a ``Connection``.

    Example:
        >>> from airlock.integrations.sqlite3 import connect
        >>> connection = connect(":memory:")
        >>> connection.cursor().execute("SELECT 42").fetchone()
        (42,)
        >>> connection.close()
    """

    def __init__(self, connection: sqlite3.Connection, /) -> None:
        super().__init__(connection)
        self._transactions = reporting(connection, "Cursor()").transactions

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        run, execute = self._transactions.run, super().execute
        run(self.connection, sql, execute, sql, parameters)
        return self

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Self:
        run, executemany = self._transactions.run, super().executemany
        run(self.connection, sql, executemany, sql, parameters)
        return self

    def executescript(self, sql_script: str, /) -> Self:
        self._transactions.run(self.connection, "", self._script, sql_script)
        return self

    def _script(self, script: str) -> None:
        """Execute a script as a whole if it leaves transactions alone; else statement by statement."""
        run, connection = self._transactions.run, self.connection
        statements = list(split(script))
        in_legacy_mode = not isinstance(autocommit(connection), bool)
        # An empty script, for what sqlite3 does first: in the legacy mode it commits.
        run(connection, "COMMIT" if in_legacy_mode else "", super().executescript, "")
        if not any(control(statement)[0] for statement in statements):
            writes = [statement for statement in statements if not only_reads(statement)]
            run(connection, "".join(writes), super().executescript, script)
            return
        level = connection.isolation_level
        if in_legacy_mode:
            connection.isolation_level = None  # a script has no implicit BEGIN
        try:
            for statement in statements:
                run(connection, statement, exhaust, connection, statement)
        finally:
            if in_legacy_mode and level is not None:
                connection.isolation_level = level


def exhaust(connection: sqlite3.Connection, statement: str) -> None:
    """Execute a statement to its end, and throw its rows away."""
    for _ in sqlite3.Cursor(connection).execute(statement):
        pass


def autocommit(connection: sqlite3.Connection) -> object:
    """Return True or False; something else in the legacy mode, the only one before Python 3.12."""
    return getattr(connection, "autocommit", None)


# -- what becomes of transactions -----------------------------------------------------------------


class Transactions:
    """The open transaction of a connection and its savepoints, as segments.

    It does not hold the connection, so that one that is dropped is closed at once.

    Attributes:
        innermost: the segment of the innermost savepoint or transaction; where none is open, one
            that waits for the next.
    """

    def __init__(self) -> None:
        self.innermost = Segment()
        self._open: list[tuple[bytes, Segment]] = []  # the transaction, then its savepoints
        self._ended: list[Callable[[], None]] = []  # not reported yet
        self._lock = RLock()  # a connection may be shared by threads
        self._depth = 0
        self._by_savepoint = False  # the transaction was begun by a savepoint

    def run(
        self,
        connection: sqlite3.Connection,
        statement: str,
        call: Callable[[*Args], object],
        *args: *Args,
    ) -> None:
        """Call something that may begin or end transactions or savepoints, and see what it did.

        Commits set flushes off, whose handlers may use the connection: only when the outermost call
        is over, and without the lock.

        Args:
            connection: whose these are.
            statement: what is executed.
            call: what executes it.
            *args: its arguments.

        Raises:
            Exception: as ``call`` does, or as a flush does if its release wants it raised.
        """
        ended: list[Callable[[], None]] = []
        try:
            with self._lock:
                self._depth += 1
                try:
                    self._watch(connection, statement, call, *args)
                finally:
                    self._depth -= 1
                    if not self._depth:
                        ended, self._ended = self._ended, []
        except BaseException as error:
            for failure in self._report(ended):
                error.add_note(f"effects released before failed as well: {failure!r}")
            raise
        failures = self._report(ended) if ended else []
        if len(failures) > 1:
            raise ExceptionGroup("flushes after several commits failed", failures)
        for failure in failures:
            raise failure

    def look(
        self, connection: sqlite3.Connection, verb: str = "", name: bytes | None = None
    ) -> None:
        """Compare the connection with what is known of it, after ``verb`` was executed."""
        is_open = in_transaction(connection)
        if self._open and (not is_open or verb in {"commit", "rollback"}):
            transaction = self._end()
            if verb in {"commit", "release"}:
                self._ended.append(transaction.commit)
            else:
                self._ended.append(transaction.close if is_open is None else transaction.roll_back)
        if is_open and not self._open:  # sqlite3 may have begun another one after the commit
            self._begin()
            self._by_savepoint = verb == "savepoint"
        if name is not None and self._open:
            self._savepoint(verb, name)

    def _watch(
        self,
        connection: sqlite3.Connection,
        statement: str,
        call: Callable[[*Args], object],
        *args: *Args,
    ) -> None:
        self.look(connection)  # an error while rows were fetched may have rolled back
        if self._open and self._commits(statement):
            self._prepare(connection)
        try:
            call(*args)
        except Exception:
            self.look(connection)
            self._executed(statement)
            raise
        except BaseException:  # Ctrl-C is raised once the call is over, and it did what it does
            self.look(connection, *control(statement))
            self._executed(statement)
            raise
        self.look(connection, *control(statement))
        self._executed(statement)

    def _commits(self, statement: str) -> bool:
        """Return True if a statement commits the open transaction."""
        verb, name = control(statement)
        # A savepoint outside of a transaction begins one, which its release commits.
        if verb == "release" and self._by_savepoint:
            named = [at for at, (known, _) in enumerate(self._open) if at and known == name]
            return named == [1]
        return verb == "commit"

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Run the steps of the transaction before its COMMIT; if one fails, roll back."""
        try:
            self.innermost.transaction.before_commit(connection)
        except BaseException:
            if autocommit(connection) is True:
                sqlite3.Cursor(connection).execute("ROLLBACK")
            else:
                sqlite3.Connection.rollback(connection)
            self.look(connection, "rollback")
            raise

    def _executed(self, statement: str) -> None:
        """Note that the open transaction may have written, unless it was a read."""
        if self._open and not self.innermost.transaction.wrote and not only_reads(statement):
            self.innermost.transaction.wrote = True

    def _begin(self) -> None:
        self.innermost.begin()
        self.innermost.wrote = False
        self._open = [(b"", self.innermost)]

    def _end(self) -> Segment:
        """Put the segment of the next transaction in place; return that of the one that is over."""
        _, transaction = self._open[0]
        self._open = []
        self.innermost = Segment()
        return transaction

    def _savepoint(self, verb: str, name: bytes) -> None:
        if verb != "savepoint":
            at = self._position(name)
            if verb == "rollback_to":
                self._open[at][1].roll_back()
            del self._open[at:]
        if verb != "release":
            self._open.append((name, self._open[-1][1].nested()))
        self.innermost = self._open[-1][1]

    def _position(self, name: bytes) -> int:
        for at in range(len(self._open) - 1, 0, -1):
            if self._open[at][0] == name:
                return at
        raise ReleaseError(
            f"savepoint {name.decode()!r}",
            "was opened unseen, so that the effects in it cannot be separated from others",
            "Execute every statement through the Connection, or a cursor it made.",
        )

    def _report(self, ended: list[Callable[[], None]]) -> list[Exception]:
        """Report to segments what became of them.

        Returns:
            The errors of flushes.
        """
        failures = list[Exception]()
        try:
            while ended:
                try:
                    ended.pop(0)()
                except Exception as failure:  # noqa: BLE001 - the others are not to blame
                    failures.append(failure)
        finally:
            self._ended[:0] = ended  # interrupted: reported after the next statement
        return failures


def in_transaction(connection: sqlite3.Connection) -> bool | None:
    """Return True if a transaction is open; None if the connection is closed."""
    try:
        return connection.in_transaction
    except sqlite3.ProgrammingError:
        return None


# -- what statements do ---------------------------------------------------------------------------

GAP = r"(?:[\s;\ufeff]|--[^\n]*+|/\*.*?(?:\*/|\Z))*+"  # white space and comments
NAME = (
    r"(?:\"(?:[^\"]|\"\")*+\"|'(?:[^']|'')*+'|`(?:[^`]|``)*+`|\[[^]]*+\]"
    r"|[A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*+)"
)
CONTROL = re.compile(
    rf"{GAP}(?:"
    rf"ROLLBACK\b{GAP}(?:TRANSACTION\b{GAP}(?:{NAME}{GAP})??)?TO\b{GAP}(?:SAVEPOINT\b{GAP})?(?P<rollback_to>{NAME})"
    rf"|(?P<rollback>ROLLBACK\b)"
    rf"|(?P<commit>(?:COMMIT|END)\b)"
    rf"|(?P<begin>BEGIN\b)"
    rf"|SAVEPOINT\b{GAP}(?P<savepoint>{NAME})"
    rf"|RELEASE\b{GAP}(?:SAVEPOINT\b{GAP})?(?P<release>{NAME})"
    rf")",
    re.IGNORECASE | re.DOTALL,
)
"""Transaction control, as SQLite's grammar has it."""


READ = re.compile(rf"{GAP}(?:(?:SELECT|VALUES)\b|\Z)", re.IGNORECASE | re.DOTALL)


@lru_cache(maxsize=256)
def only_reads(statement: str) -> bool:
    """Return True if a statement is known to write nothing: a SELECT, or transaction control.

    Example:
        >>> from airlock.integrations.sqlite3 import only_reads
        >>> only_reads("SELECT * FROM orders"), only_reads("PRAGMA user_version = 2")
        (True, False)
    """
    return READ.match(statement) is not None or bool(control(statement)[0])


@lru_cache(maxsize=256)
def control(statement: str) -> tuple[str, bytes | None]:
    """Return what a statement does to transactions: a verb or nothing, and the savepoint's name.

    Example:
        >>> from airlock.integrations.sqlite3 import control
        >>> control("/* undo */ rollback to [Reward]")
        ('rollback_to', b'reward')
    """
    found = CONTROL.match(statement)
    if found is None or found.lastgroup is None:
        return "", None
    verb = found.lastgroup
    return verb, folded(found[verb]) if verb in {"rollback_to", "savepoint", "release"} else None


def folded(name: str) -> bytes:
    """Return a name as SQLite compares it: without quotes, ASCII in lower case."""
    if name[0] == "[":
        name = name[1:-1]
    elif name[0] in "\"'`":
        name = name[1:-1].replace(name[0] * 2, name[0])
    return name.encode().lower()


def split(script: str) -> Iterator[str]:
    """Split a script into its statements."""
    start = end = 0
    while end := script.find(";", end) + 1:
        if sqlite3.complete_statement(script[start:end]):
            yield script[start:end]
            start = end
    yield script[start:]
