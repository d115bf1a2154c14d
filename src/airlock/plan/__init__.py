"""Plans: held intents as a document, to be reviewed, stored, applied and resumed.

``scope.plan()`` makes one, ``boundary.apply(plan)`` runs it. ``holding()`` holds whatever a whole
program emits.
"""

from airlock.plan.applied import Applied
from airlock.plan.diff import PlanDiff
from airlock.plan.document import Plan
from airlock.plan.entry import PlanEntry
from airlock.plan.holding import holding

__all__ = ["Applied", "Plan", "PlanDiff", "PlanEntry", "holding"]
