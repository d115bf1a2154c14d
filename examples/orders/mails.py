from decimal import Decimal
from email.message import EmailMessage


def confirmation(order_id: int, to: str, total: Decimal) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "orders@shop.example"
    message["To"] = to
    message["Subject"] = f"Your order {order_id}"
    message["X-Order"] = str(order_id)
    message.set_content(f"Thank you for your order. It comes to ${total}.\n")
    return message
