"""The scenes, in the order they are played."""

from examples.orders.scenes import (
    admin,
    bulk,
    crash,
    dry_run,
    enrich,
    outage,
    processing,
    transactions,
)

SCENES = (
    processing.SCENE,
    dry_run.SCENE,
    admin.SCENE,
    transactions.SCENE,
    bulk.SCENE,
    enrich.SCENE,
    outage.SCENE,
    crash.SCENE,
)
