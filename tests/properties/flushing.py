"""The reference model: what policies and handlers make of the intents of a flush."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from airlock import Outcome
from tests.properties.model import Attempt, Item, Node, Report, Wave
from tests.properties.vocabulary import RULES, Audit, Broken, Orphan, Step, Work

if TYPE_CHECKING:
    from tests.properties.world import World


def run(world: World, report: Report, queue: list[Wave]) -> str:
    """Decide, then deliver, wave by wave; returns the name of the error there should be."""
    boundary, ran = report.boundary, False
    refused = list[str]()
    while queue:
        wave = queue.pop(0)
        report.waves.append(wave)
        try:
            judge(wave, report)
        except Broken:
            refused.append("PolicyError")
            continue
        allowed = [item for item in wave.items if item.outcome is Outcome.PENDING]
        if any(item.wave > boundary.max_depth for item in wave.items):
            for item in allowed:
                item.outcome, item.by = Outcome.FAILED, ["CascadeError"]
        elif any(isinstance(i.intent, Orphan) and not i.overrides for i in allowed):
            refused.append("UnhandledIntentError")
            continue
        else:
            ran = True
            following = Delivering(world, report).deliver(allowed)
            if following:
                queue.append(Wave(following))
        if boundary.fail_fast and any(i.outcome is Outcome.FAILED for i in wave.items):
            break
    report.waves += queue
    failed = any(i.outcome is Outcome.FAILED for wave in report.waves for i in wave.items)
    if not failed and len(refused) == 1 and not ran:
        return refused[0]
    return "FlushError" if failed or refused else ""


def judge(wave: Wave, report: Report) -> None:
    """Ask every policy, region by region outwards, then every enclosure.

    Nothing is noted if one is broken.
    """
    if wave.decided:
        return
    verdicts = {item: (item.outcome, list[object]()) for item in wave.items}
    noted = list[tuple[tuple[Node, int], list[Work]]]()
    nodes = {node: len(list(node.outwards())) for i in wave.items for node in i.home.outwards()}
    outwards = sorted(nodes, key=lambda node: -nodes[node])
    seats = [((node, at), rule) for node in outwards for at, rule in enumerate(node.rules)]
    seats += [((node, ~at), rule) for node in outwards for at, rule in enumerate(node.enclosing)]
    for (node, at), rule in seats:
        inside = [item for item in wave.items if node in item.home.outwards()]
        live = [i for i in inside if verdicts[i][0] in (Outcome.PENDING, Outcome.HELD)]
        if not live:
            continue
        seen = [item.seen(held=verdicts[item][0] is Outcome.HELD) for item in live]
        answer = rule.decide(seen, report.allowed.get((node, at), []))
        passed = [i.intent for i, ought in zip(live, answer, strict=True) if ought == "allow"]
        noted.append(((node, at), passed))
        for item, ought in zip(live, answer, strict=True):
            if isinstance(ought, int):
                verdicts[item] = (Outcome.MERGED, [live[ought].intent])
            elif ought == "drop":
                verdicts[item] = (Outcome.DROPPED, [rule.real])
            elif ought == "hold":
                verdicts[item] = (Outcome.HELD, [*verdicts[item][1], rule.real])
    for place, works in noted:
        report.allowed.setdefault(place, []).extend(works)
    for item, (outcome, by) in verdicts.items():
        item.outcome, item.by = outcome, by
    wave.decided = True


@attrs.define(eq=False)
class Delivering:
    """The handlers of one wave."""

    world: World
    report: Report
    emitted: list[Attempt] = attrs.Factory(list)

    def deliver(self, allowed: list[Item]) -> list[Item]:
        """Call the handlers in order; returns the follow-ups in order of their causes."""
        for item in allowed:
            if item.overrides and item.overrides[0][1] is None:
                item.outcome, item.by = Outcome.DROPPED, ["override"]
        for members in self._calls([i for i in allowed if i.outcome is Outcome.PENDING]):
            self._attempt(members)
            failed = any(item.outcome is Outcome.FAILED for item in members)
            if failed and self.report.boundary.fail_fast:
                break
        return [item for attempt in self.emitted for item in attempt.kept()]

    def _calls(self, items: list[Item]) -> list[tuple[Item, ...]]:
        """One call for each intent; for a batch one, at its last member's place."""
        groups: dict[object, list[Item]] = {}
        for place, item in enumerate(items):
            batched = isinstance(item.intent, Audit) and not item.overrides
            groups.setdefault(surroundings(item) if batched else place, []).append(item)
        calls = list[tuple[Item, ...]]()
        for group in groups.values():
            size = self.report.boundary.batch or len(group)
            calls += [tuple(group[at : at + size]) for at in range(0, len(group), size)]
        return sorted(calls, key=lambda members: items.index(members[-1]))

    def _attempt(self, members: tuple[Item, ...]) -> None:
        for item in members:
            item.attempts += 1
        attempt = Attempt(self.world.below_enclosures(members[-1].home), causes=members)
        self.world.stack.append(attempt)
        errors = [""] * len(members)
        try:
            partly = self._handle(members)
            errors = partly or errors
            if all(errors):  # an attempt whose members all failed has failed
                attempt.doom = Broken("PartialFailure")
        except Broken as error:
            attempt.doom = error
            errors = [str(error)] * len(members)
        self.world.stack.pop()
        self.emitted.append(attempt)
        self.report.discarded += [
            (item, item.against if item.against is not attempt.doom else str(attempt.doom))
            for item in attempt.below()
            if item.against is not None
        ]
        for item, failure in zip(members, errors, strict=True):
            item.outcome = Outcome.FAILED if failure else Outcome.DELIVERED
            item.by = [failure] if failure else []

    def _handle(self, members: tuple[Item, ...]) -> list[str]:
        """Through the overrides to the handler; returns an error for each member, if partial."""
        for _, fake in members[0].overrides:
            if fake is None:
                return []
            self.world.log.append((fake.name, members[0].intent))
            if not fake.calls_on:
                return []
        return self._original(members)

    def _original(self, members: tuple[Item, ...]) -> list[str]:
        name, intent = self.report.boundary.name, members[0].intent
        if isinstance(intent, Orphan):
            raise Broken("UnhandledIntentError")
        batch = isinstance(intent, Audit)
        works = tuple(item.intent for item in members)
        attempts = tuple(item.attempts for item in members)
        self.world.log.append((name, works, attempts) if batch else (name, intent, attempts[0]))
        for item in members:
            for step in item.intent.steps:
                self._step(step)
        failing = [item.attempts <= item.intent.fails for item in members]
        if not batch and failing[0]:
            raise Broken("Broken")
        if any(fails and item.intent.whole for fails, item in zip(failing, members, strict=True)):
            raise Broken("Broken")
        if any(failing) and members[0].overrides:  # called for one intent: it fails as a whole
            raise Broken("PartialFailure")
        return ["Broken" if fails else "" for fails in failing] if any(failing) else []

    def _step(self, step: Step) -> None:
        world, rules = self.world, RULES[step.policy] if step.policy else ()
        scope = next(node for node in reversed(world.stack) if isinstance(node, Attempt))
        if step.block == "scope":
            world.open_scope(self.report.boundary, rules, independent=False, database=None)
        elif step.block:
            world.open_region(rules, encloses=step.block == "enclose")
        refused = world.emit(step.intent, scope.root if step.held else None)
        error = Broken(refused or "Broken")
        if step.block:
            world.leave(error if refused or step.spoiled else None)
        if refused:
            raise Broken(refused)


def surroundings(item: Item) -> Node | None:
    """The region that the members of a batch share: the nearest with policies or overrides."""
    around = item.home.outwards()
    return next((node for node in around if node.rules or node.enclosing or node.fakes), None)
