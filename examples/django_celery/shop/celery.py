import os

from airlock.integrations.celery import deliver_task, effects_tasks
from airlock.integrations.django import on_commit
from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

app = Celery("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# What the site emits is delivered here; what fails for the network's sake is tried again.
deliver_task(app, "shop.wiring:boundary", autoretry_for=(OSError,), max_retries=10)
# What tasks emit goes out when they have committed, and succeeded.
effects_tasks(app, "shop.wiring:boundary", release=on_commit)
