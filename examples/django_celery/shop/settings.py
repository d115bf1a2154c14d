import os
from pathlib import Path

BASE_DIR = Path(__file__).parents[1]
SECRET_KEY = "an example"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["airlock.integrations.django", "shop"]
MIDDLEWARE = ["airlock.integrations.django.EffectsMiddleware"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "shop.sqlite",
        "OPTIONS": {"timeout": 20},  # the site and the worker write
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

# What is outside of the shop: mails and notices are lines of a file.
OUTSIDE = BASE_DIR / "outside.log"
EMAIL_BACKEND = "shop.outside.MailBackend"

AIRLOCK = {"BOUNDARY": "shop.wiring.boundary"}

CELERY_BROKER_URL = os.environ.get("SHOP_BROKER", "amqp://127.0.0.1")
CELERY_TASK_DEFAULT_QUEUE = os.environ.get("SHOP_QUEUE", "shop")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
