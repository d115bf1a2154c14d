from django.db import transaction

from shop.celery import app
from shop.models import Order


@app.task
def cancel_old() -> None:
    with transaction.atomic():
        for order in Order.objects.filter(status="placed").order_by("number"):
            order.cancel()
