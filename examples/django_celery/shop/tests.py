from io import StringIO

from airlock.integrations.django.testing import EffectsTestMixin
from django.core import mail
from django.test import TestCase, TransactionTestCase, override_settings

from shop.celery import app
from shop.handlers import notify_warehouse
from shop.intents import NotifyWarehouse, SendMail
from shop.models import Order
from shop.tasks import cancel_old

ANN = {"number": "1", "email": "ann@example.org"}


class OrderTests(EffectsTestMixin, TestCase):
    """What is emitted; no broker, no mocks."""

    def test_placing_tells_the_warehouse_and_the_customer(self) -> None:
        with self.assertEffects(NotifyWarehouse(1), SendMail(1, "placed")):
            response = self.client.post("/orders/", ANN)
        self.assertEqual(response.status_code, 201)

    def test_an_order_that_is_there_already_tells_nobody(self) -> None:
        Order.objects.create(number=1)
        with self.assertEffects():
            response = self.client.post("/orders/", ANN)
        self.assertEqual(response.status_code, 409)

    def test_orders_that_are_not_packed_are_cancelled(self) -> None:
        Order.objects.create(number=1, status="packed")
        Order.objects.create(number=2, status="placed")
        with self.assertEffects(SendMail(2, "cancelled")):
            cancel_old()

    def test_the_customer_hears_when_the_order_is_packed(self) -> None:
        with override_settings(OUTSIDE=Nothing()), self.assertEffects(SendMail(1, "packed")):
            notify_warehouse(NotifyWarehouse(1))


class WholeWayTests(TransactionTestCase):
    """Through the task that delivers, in this process."""

    def setUp(self) -> None:
        app.conf.task_always_eager = True

    def tearDown(self) -> None:
        app.conf.task_always_eager = False

    @override_settings(EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend")
    def test_an_order_is_placed_and_packed(self) -> None:
        with override_settings(OUTSIDE=Nothing()):
            self.client.post("/orders/", ANN)
        subjects = sorted(message.subject for message in mail.outbox)
        self.assertEqual(subjects, ["order 1 is packed", "order 1 is placed"])
        self.assertEqual(Order.objects.get().status, "packed")


class Nothing:
    """A file that nothing is written to."""

    def open(self, *_, **__):
        return StringIO()
