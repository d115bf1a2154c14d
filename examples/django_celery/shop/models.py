import airlock
from django.db import models

from shop.intents import NotifyWarehouse, SendMail


class Order(models.Model):
    number = models.IntegerField(unique=True)
    email = models.EmailField()
    status = models.CharField(max_length=20, default="new")

    # The domain says what should happen. It knows neither the mail server nor Celery.

    def place(self) -> None:
        self.status = "placed"
        self.save()
        airlock.emit(NotifyWarehouse(self.number))
        airlock.emit(SendMail(self.number, "placed"))

    def cancel(self) -> None:
        self.status = "cancelled"
        self.save()
        airlock.emit(SendMail(self.number, "cancelled"))
