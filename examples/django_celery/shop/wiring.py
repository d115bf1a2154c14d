from airlock import Boundary
from airlock.integrations.celery import CeleryDispatch

from shop.celery import app
from shop.handlers import notify_warehouse, send_mail
from shop.intents import NotifyWarehouse, SendMail

boundary = Boundary(
    {NotifyWarehouse: notify_warehouse, SendMail: send_mail},
    dispatch=CeleryDispatch(app),  # all of them run in the worker
)
