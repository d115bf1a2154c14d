import airlock
from django.core.mail import send_mail as send

from shop import outside
from shop.intents import NotifyWarehouse, SendMail
from shop.models import Order


def notify_warehouse(intent: NotifyWarehouse) -> None:
    outside.write(f"warehouse: pack order {intent.order}")
    Order.objects.filter(number=intent.order, status="placed").update(status="packed")
    airlock.emit(SendMail(intent.order, "packed"))  # a follow-up: goes out if this succeeds


def send_mail(intent: SendMail) -> None:
    order = Order.objects.get(number=intent.order)
    send(f"order {order.number} is {intent.about}", "", "shop@example.org", [order.email])
