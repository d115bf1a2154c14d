"""Where the tests find the services they need, and what they do without them."""

from __future__ import annotations

import os
import socket
from functools import cache
from typing import NoReturn
from urllib.parse import urlsplit

import pytest

__all__ = ["missing", "postgresql", "rabbitmq", "redis"]

START = {
    "PostgreSQL": (
        "docker run -p 5432:5432 -e POSTGRES_HOST_AUTH_METHOD=trust -e POSTGRES_DB=test postgres"
    ),
    "Redis": "docker run -p 6379:6379 redis",
    "RabbitMQ": "docker run -p 5672:5672 rabbitmq",
}


def postgresql() -> str:
    """The URL of the PostgreSQL to test with; without one the test is skipped, or fails."""
    url = os.environ.get("AIRLOCK_POSTGRES_URL") or (
        f"postgresql://{os.environ.get('USER') or 'postgres'}@127.0.0.1:5432/test"
    )
    problem = refused(url)
    if problem:
        missing("PostgreSQL", f"{url} or AIRLOCK_POSTGRES_URL", problem)
    return url


def redis() -> str:
    """The URL of the Redis to test with; as ``postgresql``."""
    return answering("Redis", "AIRLOCK_REDIS_URL", "redis://127.0.0.1:6379/0")


def rabbitmq() -> str:
    """The URL of the RabbitMQ to test with; as ``postgresql``."""
    return answering("RabbitMQ", "AIRLOCK_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//")


def answering(service: str, variable: str, default: str) -> str:
    """The URL of a service, from an environment variable or the usual place."""
    url = os.environ.get(variable) or default
    problem = unreachable(url)
    if problem:
        missing(service, f"{url} or {variable}", problem)
    return url


@cache
def refused(url: str) -> str:
    """Why PostgreSQL takes no connection there; empty if it does."""
    psycopg = pytest.importorskip("psycopg")
    try:
        psycopg.connect(url, connect_timeout=60).close()
    except psycopg.OperationalError as error:
        return str(error)
    return ""


@cache
def unreachable(url: str) -> str:
    """Why nothing listens there; empty if something does."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60).close()
    except OSError as error:
        return str(error)
    return ""


def missing(service: str, where: str, problem: str) -> NoReturn:
    """Skip the test, or fail where AIRLOCK_REQUIRE_SERVICES=1 says that all must be there."""
    text = f"no {service} at {where}. Start it: {START[service]}. ({problem})"
    if os.environ.get("AIRLOCK_REQUIRE_SERVICES") == "1":
        pytest.fail(text, pytrace=False)
    pytest.skip(text)
