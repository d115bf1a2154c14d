"""Everything airlock raises, and nothing else.

::

    AirlockError
    ├── DeclarationError            an intent, effect function or policy was declared wrongly
    │   ├── FieldError              a field that is mutable, private, or not annotated
    │   ├── DuplicateKindError
    │   ├── ExpectationError        a test expects what cannot be
    │   ├── SettingError            an integration is configured wrongly
    │   └── SignatureError          a call of a Celery task that cannot be kept for later
    ├── EmissionError               an emission that cannot be taken; nothing was recorded
    │   ├── NoScopeError
    │   ├── NotAnIntentError        a class, a callable, an undecorated subclass, any other value
    │   ├── ClosedRegionError       the scope or region is over, or the handler has ended
    │   ├── OpenElsewhereError      a policy is open in the scope, in another thread or context
    │   ├── EmittedInPolicyError
    │   ├── NotRecordedError        no transaction in which the outbox could record it
    │   ├── OptionError
    │   └── RefusedError            a ``Refuse`` policy
    ├── DirectCallError             an effect function was called as if it were a plain one
    ├── ScopeError
    │   ├── ScopeStateError         entered twice, flushed while open, and so on
    │   ├── ScopeOrderError         left out of order, or in another task
    │   ├── OpenRegionsError        a region below it is still open
    │   └── ReleaseError            a release that cannot be honoured
    │       └── NoTransactionError  emitted in a transaction of which nobody knows the end
    ├── WiringError                 handlers and intents do not fit
    │   ├── DuplicateHandlerError
    │   ├── HandlerSignatureError
    │   ├── DependencyError         a dependency of a handler is not defined, or not open
    │   ├── UnhandledIntentError
    │   │   └── UnfakedIntentError  the boundary is a fake, and has none for it
    │   ├── AsyncHandlerError       an async handler in a sync flush
    │   ├── UnsupportedOptionError  the dispatch cannot honour an emission option
    │   └── MissingExtraError
    ├── PolicyError                 a policy raised, or answered nonsense
    ├── UnavailableError            the broker of a dispatch cannot be reached; intents are pending
    ├── UndeclaredHereError         this worker cannot deliver a message; another or a later one may
    ├── UnreleasedResultError       of a Celery task that was not sent, or never will be
    ├── LeaseLostError              another relay has the row that a handler acknowledges
    ├── OutboxError                 an outbox cannot record or deliver
    │   └── OutboxSchemaError       its tables are missing, or of another version
    ├── DeferredError               a handler returned Retry, Snooze or Dead, for a relay
    ├── HandlerCancelledError       something it awaited was cancelled, and the flush was not
    ├── CascadeError                follow-ups past ``max_depth``
    ├── DeliveryError               ``delivery()`` where there is none
    ├── ResumeError                 a report cannot be resumed (again)
    ├── WireError                   a payload that cannot be decoded, whatever is wrong with it
    ├── UnencodableError            an intent that has no form on the wire
    │   └── SensitiveFieldError     there is no cipher for it
    ├── PlanError                   a plan cannot be made or applied; nothing ran
    │   ├── PlanFormatError         the file is no plan, or was cut off or edited
    │   ├── PlanExpiredError
    │   ├── PlanMismatchError       it no longer fits the program
    │   ├── JournalError            of another plan, in use, or damaged
    │   └── InDoubtError            effects were in flight at a crash, and may have happened
    ├── ApplyError                  an ExceptionGroup: some effects of a plan failed
    └── FlushError                  an ExceptionGroup: some effects failed; the rest was attempted

``UnplannedWarning`` names held intents that nobody made a plan of.

Every error holds its facts as attributes and pickles. Errors that stop a flush before or while it
runs have a ``report``: the outcome of every intent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from airlock.facts import Explained, facts

if TYPE_CHECKING:
    from airlock.emissions.report import Report
    from airlock.plan.applied import Applied

__all__ = [
    "AirlockError",
    "ApplyError",
    "AsyncHandlerError",
    "CascadeError",
    "ClosedRegionError",
    "DeclarationError",
    "DeferredError",
    "DeliveryError",
    "DependencyError",
    "DirectCallError",
    "DuplicateHandlerError",
    "DuplicateKindError",
    "EmissionError",
    "EmittedInPolicyError",
    "ExpectationError",
    "FieldError",
    "FlushError",
    "HandlerCancelledError",
    "HandlerSignatureError",
    "InDoubtError",
    "JournalError",
    "LeaseLostError",
    "MissingExtraError",
    "NoScopeError",
    "NoTransactionError",
    "NotAnIntentError",
    "NotRecordedError",
    "OpenElsewhereError",
    "OpenRegionsError",
    "OptionError",
    "OutboxError",
    "OutboxSchemaError",
    "PartialFailure",
    "PlanError",
    "PlanExpiredError",
    "PlanFormatError",
    "PlanMismatchError",
    "PolicyError",
    "RefusedError",
    "ReleaseError",
    "ResumeError",
    "ScopeError",
    "ScopeOrderError",
    "ScopeStateError",
    "SensitiveFieldError",
    "SettingError",
    "SignatureError",
    "UnavailableError",
    "UndeclaredHereError",
    "UnencodableError",
    "UnfakedIntentError",
    "UnhandledIntentError",
    "UnplannedWarning",
    "UnreleasedResultError",
    "UnsupportedOptionError",
    "WireError",
    "WiringError",
]  # fmt: skip


class AirlockError(Exception):
    """Root of everything airlock raises."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the report, which stays in the process where the flush ran."""
        return type(self), self.args

    @property
    def report(self) -> Report | None:
        """The outcome of every intent, where the error stopped a flush; None elsewhere."""
        report: Report | None = vars(self).get("report_of_flush")
        return report

    @report.setter
    def report(self, report: Report | None) -> None:
        vars(self)["report_of_flush"] = report


class DeclarationError(AirlockError, TypeError):
    """Something was declared wrongly; it is refused where it is written."""


@facts
class FieldError(DeclarationError):
    """A field of an intent cannot be what its annotation says."""

    intent: str
    field: str
    problem: str
    hint: str
    place: str

    def __str__(self) -> str:
        return f"{self.intent}.{self.field} {self.problem} (declared at {self.place}). {self.hint}"


@facts
class DuplicateKindError(DeclarationError):
    """Two intent classes claim one kind and version."""

    kind: str
    version: int
    first: str
    second: str

    def __str__(self) -> str:
        return (
            f"kind {self.kind!r} version {self.version} is already declared by {self.first}; "
            f"{self.second} cannot take it too, because a kind names one intent on the wire and "
            "in reports. Give one of them another kind=, or another version=."
        )


@facts
class ExpectationError(Explained, DeclarationError):
    """An expectation that cannot be met, or was never used."""


@facts
class SignatureError(Explained, DeclarationError):
    """A call of a Celery task that cannot be kept for later."""


@facts
class SettingError(DeclarationError):
    """An integration is configured wrongly; nothing was set up."""

    where: str
    name: str
    problem: str
    hint: str

    def __str__(self) -> str:
        return f"{self.where}: {self.name!r} {self.problem}. {self.hint}"


class EmissionError(AirlockError):
    """An emission that cannot be taken. Nothing was recorded."""


@facts
class NoScopeError(EmissionError, LookupError):
    """No scope is open in this context.

    ``held``: which enclosure would hold the intent, if one would.
    """

    what: str
    held: str = ""

    def __str__(self) -> str:
        why = (
            f"{self.held}, but no scope is open in this thread or task, so nobody could make a plan "
            "of it"
            if self.held
            else "no scope is open in this thread or task, so nothing would ever decide about it"
        )
        return (
            f"{self.what}: {why}. Open one around the work: `with boundary.scope(): ...` (a new thread or "
            "greenlet starts without one; an asyncio task inherits its parent's), or pass an "
            "EffectBuffer to the code and emit into that."
        )


@facts
class NotAnIntentError(EmissionError, TypeError):
    """The emitted value is not an intent."""

    what: str
    problem: str
    hint: str

    def __str__(self) -> str:
        return f"cannot emit {self.what}: {self.problem}. {self.hint}"


@facts
class ClosedRegionError(EmissionError):
    """Emitted into a scope, region or handler that is over."""

    what: str
    region: str
    why: str

    def __str__(self) -> str:
        return (
            f"cannot emit {self.what} into {self.region}: {self.why}. Nothing was recorded. "
            "Emit before the block ends; work that outlives it (a background task, a thread) "
            "opens a scope of its own."
        )


@facts
class OpenElsewhereError(EmissionError):
    """Emitted through a scope from a context that its open regions are not current in.

    Whether their policies and overrides are meant to hold for it cannot be known.
    """

    what: str
    scope: str
    region: str

    def __str__(self) -> str:
        return (
            f"cannot {self.what} through {self.scope} here: {self.region} is open in it, but not in "
            "this thread or context, so it is unknown whether it holds for this too. Nothing was "
            "recorded. To take it along, run the work in a copy of the context: "
            "`pool.submit(contextvars.copy_context().run, work, effects)` (asyncio.to_thread does "
            "so; a dependency of FastAPI does when it is `async def`). Or open the policy as a "
            "nested scope, `with boundary.scope(policy=...) as inner`, and pass `inner`."
        )


@facts
class EmittedInPolicyError(EmissionError):
    """A policy emitted."""

    what: str
    policy: str = "a policy"

    def __str__(self) -> str:
        return (
            f"cannot {self.what} from inside {self.policy}: policies judge intents, they "
            "do not make them. Emit from the domain code or from a handler (a follow-up); to turn "
            "one event into several effects register an Expands."
        )


class NotRecordedError(Explained, EmissionError):
    """An intent that goes to an outbox, and no transaction in which that could record it."""


@facts
class OptionError(EmissionError, TypeError):
    """An emission option is unknown or has a wrong value."""

    option: str
    problem: str

    def __str__(self) -> str:
        return (
            f"emission option {self.option!r} {self.problem}. Write emit(intent, Options(...)) "
            "with id (uuid.UUID), delay (datetime.timedelta), ordering_key (str), dedupe_key (str) "
            "or headers (mapping of str to str)."
        )


@facts
class RefusedError(EmissionError):
    """A ``Refuse`` policy forbids this intent here."""

    what: str
    policy: str
    region: str = "a region around this call"
    hint: str = (
        "Remove the emission, or the policy; to let code run and suppress its effects quietly, use "
        "Drop instead of Refuse."
    )

    def __str__(self) -> str:
        return (
            f"{self.what} is refused by {self.policy}, which is in force in {self.region}. "
            f"Nothing was recorded. {self.hint}"
        )


@facts
class DirectCallError(AirlockError, TypeError):
    """An effect function was called directly."""

    name: str

    def __str__(self) -> str:
        return (
            f"{self.name}(...) was called directly, which would run the effect here and now. "
            f"Write airlock.enqueue({self.name}, ...) to emit it, {self.name}.intent(...) for the "
            f"value, or {self.name}.run(...) if you mean to run it."
        )


class ScopeError(AirlockError):
    """A scope or region was used in a way its state does not allow."""


@facts
class ScopeStateError(Explained, ScopeError):
    """The scope is not in a state that allows the call."""


@facts
class ScopeOrderError(ScopeError):
    """A scope or region was left while another one is current."""

    left: str
    current: str
    hint: str

    def __str__(self) -> str:
        return f"cannot leave {self.left} here: current is {self.current}. {self.hint}"


@facts
class OpenRegionsError(ScopeError):
    """A scope ended while regions below it were still open.

    Nothing was delivered then, or ``rest_delivered``: where nobody can flush the scope again.
    """

    scope: str
    regions: tuple[str, ...]
    rest_delivered: bool = False

    def __str__(self) -> str:
        listed = "; ".join(self.regions)
        done, kept = (
            ("what they emitted without a commit was discarded, and the rest delivered", "")
            if self.rest_delivered
            else ("nothing was delivered", _FINISHED)
        )
        return (
            f"{self.scope} ended while {len(self.regions)} region(s) below it are still open: "
            f"{listed}. Their blocks have neither succeeded nor failed, so {done}. "
            "Await the tasks that opened them before the block ends; a generator that holds a "
            f"scope over a yield is decorated with @boundary.scoped().{kept}"
        )


_FINISHED = " The finished part is kept: scope.flush() delivers it, scope.discard() drops it."


@facts
class ReleaseError(Explained, ScopeError):
    """A release was asked for where it cannot be honoured."""


@facts
class NoTransactionError(ReleaseError):
    """Intents of a transaction of which nobody knows the end. They are pending in the report."""

    count: int = 0


class WiringError(AirlockError):
    """Handlers and intents do not fit. Raised before any handler runs."""


@facts
class DuplicateHandlerError(WiringError):
    """Two handlers for one intent type."""

    intent: str
    first: str
    second: str

    def __str__(self) -> str:
        return (
            f"{self.intent} has two handlers: {self.first} and {self.second}. One intent has one "
            "handler, so that its outcome is one. For one event with several effects declare "
            "Expands(Event, lambda event: (A(...), B(...)))."
        )


@facts
class HandlerSignatureError(WiringError, TypeError):
    """A handler, its dependencies or its intent type do not fit together."""

    handler: str
    intent: str
    problem: str
    hint: str

    def __str__(self) -> str:
        return f"{self.handler} cannot handle {self.intent}: {self.problem}. {self.hint}"


@facts
class DependencyError(WiringError):
    """A dependency of a handler is not defined, or a resource not open."""

    handler: str
    intent: str
    problem: str
    hint: str

    def __str__(self) -> str:
        return (
            f"{self.handler}, the handler of {self.intent}, cannot be made: {self.problem}. Nothing "
            f"of this wave ran, nothing is lost. {self.hint}"
        )


@facts
class UnhandledIntentError(WiringError, LookupError):
    """No handler is registered for an intent that was about to escape."""

    intents: tuple[str, ...]
    known: tuple[str, ...]

    def __str__(self) -> str:
        known = ", ".join(self.known) or "none"
        return (
            f"no handler for {', '.join(self.intents)} (nor for a base class of it). Nothing of "
            f"this wave ran, nothing is lost. Handlers are registered for: {known}. Add a "
            "Handles(...) to the container or an entry to Boundary({...}); to leave the effect "
            "out on purpose use Drop(...)."
        )


@facts
class UnfakedIntentError(UnhandledIntentError):
    """A fake boundary has no fake for an intent."""

    place: str = "an unknown place"

    def __str__(self) -> str:
        name = self.intents[0]
        known = ", ".join(self.known) or "none"
        return (
            f"no fake for {name}, emitted at {self.place}: nothing of this wave ran. There are "
            f"fakes for: {known}. Add this line to fake_boundary({{...}}):\n"
            f"    {name}: lambda intent: None,\n"
            f"or leave the effect out on purpose: fake_boundary(..., policy=Drop({name}))."
        )


@facts
class AsyncHandlerError(WiringError, TypeError):
    """A handler needs to be awaited and the flush is a sync one.

    ``at_commit``: as a commit sets it off, after the block. ``needs``: what must be awaited of it,
    if it is not the handler itself.
    """

    handler: str
    intent: str
    at_commit: bool = False
    needs: str = ""

    def __str__(self) -> str:
        needs = f" {self.needs}" if self.needs else ""
        problem = f"{self.handler}, the handler of {self.intent}, must be awaited{needs}, and "
        if self.at_commit:
            return (
                f"{problem}a commit that comes after the block cannot wait for it. End the "
                "transaction before the block ends, or register a plain function."
            )
        return (
            f"{problem}this flush is sync. Use `async with boundary.scope(): ...` (or `await "
            "scope.aflush()`), or register a plain function."
        )


@facts
class UnsupportedOptionError(WiringError):
    """The dispatch of an intent cannot honour an option it was emitted with."""

    intent: str
    option: str
    dispatch: str

    def __str__(self) -> str:
        return (
            f"{self.intent} was emitted with {self.option}=, which {self.dispatch} cannot "
            "honour, so nothing of this wave ran. Emit without it, or route the intent to a "
            "dispatch that can: Boundary(..., dispatch=Route({...}))."
        )


@facts
class MissingExtraError(WiringError, ImportError):
    """An optional dependency is not installed."""

    feature: str
    package: str
    extra: str

    def __str__(self) -> str:
        return (
            f"{self.feature} needs {self.package}, which is not installed. "
            f"Run: pip install 'airlock-effects[{self.extra}]'"
        )


@facts
class PolicyError(AirlockError):
    """A policy raised, or answered nonsense. The wave was refused: nothing of it ran."""

    policy: str
    region: str
    problem: str

    def __str__(self) -> str:
        return (
            f"policy {self.policy} of {self.region} {self.problem}. The flush was refused: "
            "nothing of this wave ran, and nothing is lost (report.resume() asks again). A "
            "policy answers one verdict for each intent it is shown: ALLOW, DROP, HOLD or "
            "MERGED(into=index)."
        )


@facts
class UnavailableError(AirlockError, ConnectionError):
    """The broker that a dispatch hands intents to cannot be reached.

    A handler that sends may raise it too. Either is not asked again in that flush: what was to go
    there is pending.
    """

    queue: str
    problem: str

    def __str__(self) -> str:
        return (
            f"nothing can be handed over to {self.queue}: {self.problem}. What was to go there is "
            "pending in the report, and report.resume() tries again when it is back."
        )


@facts
class UndeclaredHereError(AirlockError):
    """This worker cannot deliver a message, but another or a later one may: the queue must keep it.

    Its kind or version is not declared here, it has no handler here, or the boundary cannot be
    made. That error is the cause.
    """

    what: str
    problem: str

    def __str__(self) -> str:
        return (
            f"{self.what} cannot be delivered by this worker: {self.problem}. Leave it in its "
            "queue, and try again later, here or in a worker of a newer release."
        )


@facts
class UnreleasedResultError(Explained, AirlockError):
    """The result of a Celery task was asked for that was not sent, or never will be.

    It is no ``TimeoutError``: who catches those tries again, and would do so for ever.
    """


@facts
class CascadeError(AirlockError):
    """A follow-up is deeper than ``max_depth``; the text draws the chain that led there."""

    chain: tuple[str, ...]
    max_depth: int

    def __str__(self) -> str:
        shown = self.chain
        if len(shown) > 12:
            hidden = len(shown) - 11
            shown = (*shown[:4], f"... {hidden} more ...", *shown[-7:])
        drawn = "".join(f"\n  {'  ' * i}└ {link}" for i, link in enumerate(shown))
        return (
            f"follow-ups are {len(self.chain) - 1} deep, past max_depth={self.max_depth}:{drawn}\n"
            "Handlers emit in a circle. Break it with OncePerChain(...), or raise "
            "Boundary(max_depth=...) if the chain is meant."
        )


@facts
class DeliveryError(AirlockError, LookupError):
    """There is no (single) delivery here."""

    problem: str

    def __str__(self) -> str:
        return self.problem


@facts
class ResumeError(AirlockError):
    """The report cannot be resumed."""

    problem: str

    def __str__(self) -> str:
        return self.problem


@facts
class WireError(AirlockError, ValueError):
    """A payload that cannot be decoded: the one error of every bad one. It never shows its values."""

    kind: str | None
    version: int | None
    path: str
    problem: str

    @property
    def unknown(self) -> bool:
        """True if the kind or the version is not declared here; a later release may declare it."""
        is_readable = self.kind is not None and self.version is not None
        return is_readable and self.path in ("$.kind", "$.version")

    def __str__(self) -> str:
        version = "" if self.version is None else f" version {self.version}"
        what = "a payload of no known kind" if self.kind is None else f"{self.kind!r}{version}"
        return f"cannot decode {what}: {self.path} {self.problem}. Nothing of it was decoded. {self._hint()}"

    def _hint(self) -> str:
        if self.unknown:
            return "Import the module that declares it, or register wire.upcaster(...) or wire.rename(...)."
        if self.path == "$":
            return "Give the whole text, as wire.encode(...) or wire.dumps(...) wrote it."
        return (
            "Give what its JSON Schema asks for (wire.schemas()); for the data of an older version "
            "register wire.upcaster(...)."
        )


@facts
class UnencodableError(AirlockError, TypeError):
    """An intent that has no form on the wire: a type, or a value."""

    intent: str
    field: str
    problem: str
    hint: str

    def __str__(self) -> str:
        return f"cannot encode {self.intent}{self.field}: it {self.problem}. {self.hint}"


@facts
class SensitiveFieldError(UnencodableError):
    """A sensitive field, and no cipher."""


@facts
class PlanError(Explained, AirlockError):
    """A plan cannot be made, read or applied. Nothing of it ran."""


@facts
class PlanFormatError(PlanError, ValueError):
    """The file is no plan, or was cut off or edited."""


@facts
class PlanExpiredError(PlanError):
    """The plan is too old to be applied."""


@facts
class PlanMismatchError(PlanError):
    """Kinds, versions or handlers of this program no longer fit the plan."""


@facts
class JournalError(PlanError):
    """The journal beside a plan belongs to another one, is in use, or is damaged."""


@facts
class InDoubtError(PlanError):
    """Effects of a plan were in flight when the program died, and may have happened."""

    effects: tuple[str, ...]

    def __str__(self) -> str:
        listed = "".join(f"\n  {effect}" for effect in self.effects)
        return f"{self.what} {self.problem}:{listed}\n{self.hint}"


class ApplyError(AirlockError, ExceptionGroup[Exception]):
    """Some effects of a plan failed; everything else was attempted. Applying it again goes on.

    An ``ExceptionGroup`` of the first hundred errors; the journal has them all, and ``applied`` says
    how many there were.
    """

    def __new__(
        cls, message: str, errors: Sequence[Exception], applied: Applied | None = None
    ) -> Self:
        self = super().__new__(cls, message, errors)
        self.applied = applied
        return self

    def __init__(self, message: str, errors: Sequence[Exception], _: Applied | None = None) -> None:
        super().__init__(message, errors)

    applied: Applied | None
    """What was done; None in a copy that was pickled."""

    def __str__(self) -> str:
        return f"{super().__str__()}. Everything else was attempted; to go on, call apply again"

    def derive(self, excs: Sequence[Any], /) -> ApplyError:  # type: ignore[override]  # typeshed's is generic in the exception
        """Return a group of some of the errors: for ``split`` and ``except*``."""
        return ApplyError(self.message, excs, self.applied)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, list(self.exceptions))


class UnplannedWarning(RuntimeWarning):
    """Intents were held, and nobody made a plan of them or read ``report.held``: they are gone."""


class FlushError(AirlockError, ExceptionGroup[Exception]):
    """Some effects failed; everything else was attempted.

    An ``ExceptionGroup``: ``except*`` works, and ``split``, ``subgroup`` and ``derive`` keep both
    the type and ``report``. ``report.resume()`` runs what failed or is pending.
    """

    def __new__(
        cls, message: str, errors: Sequence[Exception], report: Report | None = None
    ) -> Self:
        self = super().__new__(cls, message, errors)
        self.report = report
        return self

    def __init__(self, message: str, errors: Sequence[Exception], _: Report | None = None) -> None:
        super().__init__(message, errors)

    @property
    def report(self) -> Report:
        """The outcome of every intent. The report stays in the process where the flush ran."""
        report = super().report
        if report is None:
            raise AttributeError("this FlushError was pickled, and its report was left behind")
        return report

    @report.setter
    def report(self, report: Report | None) -> None:
        vars(self)["report_of_flush"] = report

    def derive(self, excs: Sequence[Any], /) -> FlushError:  # type: ignore[override]  # typeshed's is generic in the exception
        """Return a group of some errors, with the same report: for ``split`` and ``except*``."""
        return FlushError(self.message, excs, super().report)

    def __str__(self) -> str:
        return f"{super().__str__()}. error.report has the outcome of every intent"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, list(self.exceptions))


@facts
class LeaseLostError(AirlockError):
    """A handler acknowledges a row of an outbox that is no longer its relay's.

    Attributes:
        kind: of the intent.
        id: of the intent.
    """

    kind: str
    id: str

    def __str__(self) -> str:
        return (
            f"cannot acknowledge {self.kind!r} {self.id}: its lease has expired or it was discarded, "
            "and another relay may be delivering it. Let this error roll the transaction back, so "
            "that the work is not done twice; a longer lease for the relay makes it rarer."
        )


@facts
class DeferredError(AirlockError):
    """A handler returned ``Retry``, ``Snooze`` or ``Dead``: its intent is not done.

    Attributes:
        result: that result, on which the relay of an outbox acts.
    """

    result: Any

    def __str__(self) -> str:
        return (
            f"its handler returned {self.result!r}, on which only the relay of an outbox acts. "
            "Where no relay runs the handler, that is a failure like any other: let it raise an "
            "error instead, or send the intent to an outbox."
        )


@facts
class OutboxError(Explained, AirlockError):
    """An outbox cannot record or deliver."""


@facts
class OutboxSchemaError(OutboxError):
    """The tables of an outbox are missing, or of another version."""


@facts
class HandlerCancelledError(AirlockError):
    """A handler raised ``CancelledError``, and nobody cancelled the flush."""

    what: str

    def __str__(self) -> str:
        return (
            f"{self.what} raised CancelledError, and nobody cancelled the flush: "
            "something that it awaited was cancelled elsewhere. Await it where its cancellation "
            "is caught, or leave it alone where it is cancelled; that error is the cause of this one."
        )


class PartialFailure(Exception):  # noqa: N818 - the name batch handlers raise; not a fault of airlock
    """Raised by a batch handler: some members failed, the others are delivered.

    Args:
        errors: by index in the list that the handler was given.

    Example:
        >>> def write(entries):
        ...     raise PartialFailure({1: ValueError("no such account")})
    """

    def __init__(self, errors: Mapping[int, Exception]) -> None:
        super().__init__(errors)
        self.errors = dict(errors)

    def __str__(self) -> str:
        listed = ", ".join(f"[{i}] {e!r}" for i, e in sorted(self.errors.items()))
        return f"{len(self.errors)} member(s) of the batch failed: {listed}"
