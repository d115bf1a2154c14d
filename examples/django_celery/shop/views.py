from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from shop.models import Order


@require_POST
def place(request: HttpRequest) -> HttpResponse:
    order = Order(number=int(request.POST["number"]), email=request.POST["email"])
    try:
        with transaction.atomic():
            order.place()
    except IntegrityError:
        return HttpResponse(f"there is an order {order.number} already\n", status=409)
    return HttpResponse(f"order {order.number} is placed\n", status=201)
