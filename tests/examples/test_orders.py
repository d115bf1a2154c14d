"""The shop of ``examples/orders``: its domain code alone, its handlers on real servers, its demo."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from airlock import EffectBuffer, FlushError, OncePerChain
from airlock.errors import NoScopeError
from airlock.integrations.sqlite3 import Connection
from airlock.testing import FakeHandler, Recording, contains, fake_boundary, in_order, like
from airlock.testing.contracts import handler_contract
from examples.orders import shop as shops
from examples.orders import store
from examples.orders.baskets import read_orders
from examples.orders.intents import (
    CheckShelves,
    EnrichCustomer,
    NotifyWarehouse,
    SendConfirmationEmail,
)
from examples.orders.models import Customer, Line, Order
from examples.orders.scenes import admin, bulk
from examples.orders.shop import Shop
from examples.orders.tally import Tally
from examples.orders.wiring import BulkEffects, Clients, Effects

ROOT = Path(__file__).parents[2]


def order(number: int = 7, customer: int = 3) -> Order:
    lines = (Line("Milk", 2, Decimal("1.98")), Line("Bread", 1, Decimal("2.50")))
    return Order(number, customer, 11, "2017-10-12T08:15:00", lines)


@pytest.fixture(scope="module")
def running() -> Iterator[Shop]:
    with shops.opened(20) as running:
        yield running


@pytest.fixture
def shop(running: Shop) -> Shop:
    running.forget()
    running.warehouse.down_for = frozenset()
    return running


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Connection]:
    with store.opened(tmp_path / "shop.sqlite") as db:
        yield db


class TestDomain:
    def test_an_order_says_what_it_wants_to_happen(self, effects: Recording) -> None:
        order().process(effects)
        assert effects == [
            NotifyWarehouse(7, 11, 2),
            CheckShelves(11),
            SendConfirmationEmail(7, "customer-3@shop.example", Decimal("4.48")),
        ]

    def test_processing_changes_the_status(self) -> None:
        new = order()
        new.process(EffectBuffer())
        assert new.status == "processed"

    def test_an_address_shows_in_no_report(self, effects: Recording) -> None:
        order().process(effects)
        effects.one(SendConfirmationEmail, to=contains("shop.example"))
        assert "shop.example" not in repr(effects)

    def test_each_customer_is_thanked_after_the_warehouse_heard_of_it(
        self, effects: Recording
    ) -> None:
        for number, customer in ((7, 3), (8, 5)):
            order(number, customer).process(effects)
            effects.saw(
                in_order(
                    like(NotifyWarehouse, order_id=number),
                    like(SendConfirmationEmail, to=contains(f"customer-{customer}@")),
                )
            )
        effects.saw(like(CheckShelves, store_id=11).times(2))
        effects.nothing_else()

    def test_a_customer_saved_in_a_scope_is_to_be_enriched(
        self, effects: Recording, db: Connection
    ) -> None:
        Customer(3).save(db)
        assert effects == [EnrichCustomer(3)]

    def test_a_customer_saved_in_no_scope_is_refused(self, db: Connection) -> None:
        with pytest.raises(NoScopeError):
            Customer(3).save(db)

    def test_every_basket_of_the_file_is_an_order(self) -> None:
        orders = read_orders()
        assert len(orders) == len({each.id for each in orders}) == 4_000
        assert orders[0].id == 40314947765
        assert orders[0].lines[0] == Line("Hamburger buns", 1, Decimal("1.00"))


class TestPolicies:
    """Code that opens scopes of a boundary: here one of fakes, without servers."""

    def test_processing_again_leaves_the_customers_in_peace(self) -> None:
        warehouse = FakeHandler()
        boundary = fake_boundary({NotifyWarehouse: warehouse, CheckShelves: warehouse})
        report = admin.process_again([order()], boundary)
        assert warehouse.intents == [like(NotifyWarehouse, order_id=7), CheckShelves(11)]
        assert report.dropped == [like(SendConfirmationEmail, order_id=7)]

    def test_in_bulk_a_store_checks_its_shelves_once(self, db: Connection) -> None:
        warehouse, shelves, mail = FakeHandler(), FakeHandler(), FakeHandler()
        boundary = fake_boundary(
            {NotifyWarehouse: warehouse, CheckShelves: shelves, SendConfirmationEmail: mail}
        )
        bulk.process_all([order(1), order(2)], boundary, db)
        assert warehouse.intents == [like(NotifyWarehouse, order_id=n) for n in (1, 2)]
        assert mail.intents == [like(SendConfirmationEmail, order_id=n) for n in (1, 2)]
        assert shelves.intents == [CheckShelves(11)]


class TestWiring:
    def test_every_intent_has_a_sync_handler(self, shop: Shop) -> None:
        intents = [NotifyWarehouse, CheckShelves, SendConfirmationEmail, EnrichCustomer]
        with shop.database() as db, shop.boundary(db, Effects) as boundary:
            assert boundary.check(intents, sync=True).ok

    def test_in_bulk_orders_are_handled(self, shop: Shop) -> None:
        intents = [NotifyWarehouse, CheckShelves, SendConfirmationEmail]
        with shop.database() as db, shop.boundary(db, BulkEffects) as boundary:
            assert boundary.check(intents, sync=True).ok


@pytest.mark.parametrize("wiring", [Effects, BulkEffects])
class TestHandlers:
    def test_intents_are_values_and_their_handlers_can_be_made(
        self, shop: Shop, wiring: type[Clients]
    ) -> None:
        with shop.database() as db, shop.boundary(db, wiring) as boundary:
            handler_contract(boundary)

    def test_the_warehouse_takes_whatever_an_intent_may_say(
        self, shop: Shop, wiring: type[Clients]
    ) -> None:
        with shop.database() as db, shop.boundary(db, wiring) as boundary:
            handler_contract(boundary, only=[NotifyWarehouse, CheckShelves], run=True)

    def test_the_servers_receive_what_an_order_means(
        self, shop: Shop, wiring: type[Clients]
    ) -> None:
        with (
            shop.database() as db,
            shop.boundary(db, wiring) as boundary,
            boundary.scope() as effects,
        ):
            order().process(effects)
        assert Tally.of([order()]).differences(shop.received()) == []

    def test_one_refused_address_fails_alone(self, shop: Shop, wiring: type[Clients]) -> None:
        total = Decimal("1.00")
        good = [SendConfirmationEmail(n, f"c{n}@shop.example", total) for n in (1, 2)]
        bad = SendConfirmationEmail(3, f"{'c' * 600}@shop.example", total)  # too long for SMTP
        with shop.database() as db, shop.boundary(db, wiring) as boundary:
            effects = boundary.scope()
            with pytest.raises(FlushError), effects:
                effects.emit_all([good[0], bad, good[1]])
        assert effects.report.failed == [bad]
        assert effects.report.delivered == good
        assert shop.mail.emails == Counter([(1, good[0].to), (2, good[1].to)])

    def test_a_failing_warehouse_fails_the_notice_only(
        self, shop: Shop, wiring: type[Clients]
    ) -> None:
        shop.warehouse.down_for = frozenset({11})
        with shop.database() as db, shop.boundary(db, wiring) as boundary:
            effects = boundary.scope()
            with pytest.raises(FlushError), effects:
                order().process(effects)
            assert effects.report.failed == [like(NotifyWarehouse, order_id=7)]
            shop.warehouse.down_for = frozenset()
            assert effects.report.resume().ok
        assert Tally.of([order()]).differences(shop.received()) == []


def test_a_customer_is_enriched_and_saved(shop: Shop) -> None:
    with shop.open() as (db, boundary):
        with boundary.scope(policy=OncePerChain(EnrichCustomer)), db:
            Customer(3).save(db)
        assert store.customer_of(db, 3) == Customer(3, "family")


def test_a_tally_names_what_is_lost_and_what_nobody_promised() -> None:
    promised, received = Tally.of([order(1), order(2)]), Tally.of([order(1), order(1)])
    assert promised.differences(received) == [
        "e-mails: lost (2, 'customer-3@shop.example')",
        "e-mails: nobody promised (1, 'customer-3@shop.example')",
        "orders: lost (2, 11, 2)",
        "orders: nobody promised (1, 11, 2)",
    ]


class TestDemo:
    """``python -m examples.orders``, in a process of its own, with warnings as errors."""

    @staticmethod
    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-m", "examples.orders", *options]
        return subprocess.run(
            command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=600, check=False
        )

    def test_everything_promised_is_received(self) -> None:
        done = self.run("--orders", "20")
        assert (done.returncode, done.stderr) == (0, "")
        assert last_table(done.stdout) == [
            "1. Processing 20/20 20/20 20/20 - yes",
            "2. A dry run - - - - yes",
            "3. The admin - 20/20 20/20 - yes",
            "4. Transactions 10/10 10/10 10/10 - yes",
            "5. In bulk 200/200 200/200 82/82 - yes",
            "6. Circles - - - 25/25 yes",
            "7. An outage 20/20 20/20 20/20 - yes",
            "8. A crash 20/20 20/20 20/20 - yes",
        ]

    def test_it_shows_the_problem_first(self) -> None:
        shown = self.run("--orders", "10").stdout
        assert re.search(r"e-mails that the SMTP server received +12\n", shown)
        assert shown.index("0. The problem") < shown.index("1. Processing")

    def test_a_lost_email_is_noticed(self) -> None:
        done = self.run("--orders", "10", "--lose-one-email")
        assert (done.returncode, done.stderr) == (1, "")
        assert last_table(done.stdout)[0] == "1. Processing 10/9 10/10 10/10 - NO"
        assert "e-mails: lost (40314947765, 'customer-159@shop.example')" in done.stdout

    def test_sizes_beyond_the_file_are_refused(self) -> None:
        done = self.run("--orders", "401")
        assert done.returncode == 2
        assert "401 is not between 10 and 400" in done.stderr


def last_table(shown: str) -> list[str]:
    rows = shown.rpartition("promised/received ")[2].splitlines()
    return [" ".join(row.split()) for row in rows if re.match(r" +\d\. ", row)]
