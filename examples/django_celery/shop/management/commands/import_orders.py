from airlock.integrations.django import EffectsMixin
from django.core.management.base import BaseCommand
from django.db import transaction

from shop.models import Order


class Command(EffectsMixin, BaseCommand):
    help = "Import the orders of the old shop: NUMBER=EMAIL ..."

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("orders", nargs="+")

    def handle(self, *, orders, **_):
        with transaction.atomic():
            for order in orders:
                number, _, email = order.partition("=")
                Order(number=int(number), email=email).place()
        self.stdout.write(f"imported {len(orders)}")
