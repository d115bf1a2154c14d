# A mark belongs to its line, however long:
# fmt: off
# ruff: noqa: E731, PLR0124 - mistakes are what it is about
# mypy: ignore-errors
# pyright: reportArgumentType=false, reportAssignmentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false
"""Misuse of intents that type checkers report, each line with the rule that says it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from airlock import Intent, Json, asdict, field, intent, replace
from tests.typing.vocabulary import Box, Charge, Http, Notify, SendMail, Urgent, refund, restock

notify = Notify(1)

# -- constructors ---------------------------------------------------------------------------------

Notify("7")  # E: mypy=arg-type pyright=reportArgumentType
Notify()  # E: mypy=call-arg pyright=reportCallIssue
Notify(1, 2)  # E: mypy=call-arg pyright=reportCallIssue
Notify(id=1)  # E: mypy=call-arg pyright=reportCallIssue
Notify(None)  # E: mypy=arg-type pyright=reportArgumentType
SendMail("a")  # E: mypy=call-arg pyright=reportCallIssue
SendMail(subject="b")  # E: mypy=call-arg pyright=reportCallIssue
Charge("4111", Decimal(1), ("a",), dt.date(2021, 1, 1))  # E: mypy=call-arg pyright=reportCallIssue
Charge("4111", tags=["a"])  # E: mypy=arg-type pyright=reportArgumentType
Urgent(why="x")  # E: mypy=call-arg pyright=reportCallIssue
Box()  # E: mypy=call-arg pyright=reportCallIssue
number: Box[int] = Box("a")  # E: mypy=arg-type pyright=reportAssignmentType

# -- frozen ---------------------------------------------------------------------------------------

notify.order_id = 3  # E: mypy=misc pyright=reportAttributeAccessIssue
Urgent(1).order_id = 3  # E: mypy=misc pyright=reportAttributeAccessIssue
del notify.order_id  # E: pyright=reportAttributeAccessIssue
notify.order_id += 1  # E: mypy=misc pyright=reportAttributeAccessIssue

# -- values ---------------------------------------------------------------------------------------

_ = notify.nope  # E: mypy=attr-defined pyright=reportAttributeAccessIssue
unordered = notify < notify  # E: mypy=operator pyright=reportOperatorIssue
text: str = notify.order_id  # E: mypy=assignment pyright=reportAssignmentType
item: str = Box(3).item  # E: mypy=assignment pyright=reportAssignmentType
replace(3)  # E: mypy=type-var pyright=reportArgumentType
replace(Notify)  # E: mypy=type-var pyright=reportArgumentType
urgent: Urgent = replace(notify)  # E: mypy=assignment pyright=reportAssignmentType
other: Charge = replace(notify)  # E: mypy=assignment pyright=reportAssignmentType
asdict(3)  # E: mypy=arg-type pyright=reportArgumentType
asdict(Notify)  # E: mypy=arg-type pyright=reportArgumentType
asdict(notify, True)  # E: mypy=call-arg pyright=reportCallIssue
Json([1]).text = "2"  # E: mypy=misc pyright=reportAttributeAccessIssue

# -- what is an Intent ----------------------------------------------------------------------------

plain: Intent = 3  # E: mypy=assignment pyright=reportAssignmentType
a_class: Intent = Notify  # E: mypy=assignment pyright=reportAssignmentType
a_function: Intent = restock  # E: mypy=assignment pyright=reportAssignmentType
a_lambda: Intent = lambda: None  # E: mypy=assignment pyright=reportAssignmentType
an_http: Intent = Http()  # E: mypy=assignment pyright=reportAssignmentType
a_tuple: list[Intent] = [notify, 3]  # E: mypy=list-item pyright=reportAssignmentType
kinds: list[type[Intent]] = [int]  # E: mypy=list-item pyright=reportAssignmentType

# -- the decorator --------------------------------------------------------------------------------

intent(kind=3)  # E: mypy=call-overload pyright=reportArgumentType
intent(version="1")  # E: mypy=call-overload pyright=reportArgumentType
intent(nme="x")  # E: mypy=call-overload pyright=reportCallIssue
intent("x")  # E: mypy=call-overload pyright=reportArgumentType
intent(Notify, kind="x")  # E: mypy=call-overload pyright=reportCallIssue


@intent  # E: mypy=call-overload pyright=reportArgumentType
def not_a_class() -> None: ...


@intent
class Fields:
    wrong_default: int = field(default="3")  # E: mypy=assignment pyright=reportAssignmentType
    wrong_factory: tuple[int, ...] = field(factory=list)  # E: mypy=arg-type pyright=reportAssignmentType
    wrong_flag: int = field(sensitive="yes")  # E: mypy=call-overload pyright=reportArgumentType
    unknown: int = field(secret=True)  # E: mypy=call-overload pyright=reportCallIssue
    made_inside: int = field(default=3, init=False)  # E: mypy=call-overload pyright=reportCallIssue
    ordered: int = field(default=3, order=True)  # E: mypy=call-overload pyright=reportCallIssue
    set_later: int = field(default=3, on_setattr=None)  # E: mypy=call-overload pyright=reportCallIssue
    wrong_validator: int = field(default=3, validator=7)  # E: mypy=call-overload pyright=reportArgumentType
    wrong_converter: int = field(default=3, converter=str)  # E: mypy=arg-type pyright=reportAssignmentType
    both: int = field(default=3, factory=int)  # E: mypy=call-overload pyright=reportCallIssue


@intent
class Order:
    first: int = 0
    second: int  # E: mypy=misc pyright=reportGeneralTypeIssues


# -- effect functions -----------------------------------------------------------------------------

restock.intent("7")  # E: mypy=arg-type pyright=reportArgumentType
restock.intent()  # E: mypy=call-arg pyright=reportCallIssue
restock.intent(7, True)  # E: mypy=call-arg pyright=reportCallIssue
restock.intent(7, urgnt=True)  # E: mypy=call-arg pyright=reportCallIssue
refund.intent(3)  # E: mypy=arg-type pyright=reportArgumentType
restock.run("7", http=Http())  # E: mypy=arg-type pyright=reportArgumentType
restock.run(7, http=3)  # E: mypy=arg-type pyright=reportArgumentType
as_text: int = restock.run(7, http=Http())  # E: mypy=assignment pyright=reportAssignmentType
restock("7")  # E: mypy=arg-type pyright=reportArgumentType
