import time

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Show what has happened outside of the shop, when there are so many lines of it."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("lines", type=int)

    def handle(self, *, lines, **_):
        for _ in range(600):
            path = settings.OUTSIDE
            found = path.read_text("utf-8").splitlines() if path.exists() else []
            if len(found) >= lines:
                self.stdout.write("\n".join(found))
                return
            time.sleep(0.1)
        raise CommandError(f"there are {len(found)} lines after a minute: {found}")
