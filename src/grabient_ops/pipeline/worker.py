"""The worker: plans, runs workflows, delivers completions, keeps the journal small."""

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import structlog
from dbos import DBOS
from sqlalchemy.exc import DBAPIError

from grabient_ops.errors import GrabientError, InputError, OutdatedError, StoreError
from grabient_ops.pipeline.batches import BatchWorkflow, register_batch_workflow
from grabient_ops.pipeline.budget import UNDECIDED, admit, explain_standstill
from grabient_ops.pipeline.endings import Endings
from grabient_ops.pipeline.journal import forget_ended, launch_journal, open_client
from grabient_ops.pipeline.leases import LEASE_S, Tenure, WorkerEndedError, open_tenure
from grabient_ops.pipeline.patrol import Patrol
from grabient_ops.pipeline.recovery import reopen, restart
from grabient_ops.pipeline.runs import Plan, Planner
from grabient_ops.pipeline.services import Services
from grabient_ops.pipeline.standstill import Onlooker, Standstill
from grabient_ops.pipeline.status import is_all_answered
from grabient_ops.store.batches import OPEN_STATES, WORKING_STATES, list_batches, list_unbegun
from grabient_ops.store.changes import Mark, follow, mark_now
from grabient_ops.store.completions import list_due, rearm

log = structlog.get_logger(__name__)
_TICK_S = 0.1
_IDLE_TICK_S = 0.5
_IDLE_WITH_BELL_S = 5.0
"""How often to look where every commit rings: only in case that a ring was lost."""
_DRAIN_S = 8.0
_PLAN_AT_LEAST_EVERY_S = 5.0
_SWEEP_EVERY_S = 3600.0


class Worker:
    """Runs the pipeline: alone on a home (`app.hold_home`), or with others on PostgreSQL."""

    def __init__(
        self,
        services: Services,
        journal_url: str,
        keep_journal: timedelta,
        otlp_url: str | None = None,
        lease_s: float = LEASE_S,
    ) -> None:
        self._bell = services.store.bell()
        self._tenure = open_tenure(services.store, lease_s, services.spool.parent, self._bell.ring)
        services = _for_one(services, self._tenure)
        self._services = services
        self._journal_url = journal_url
        self._otlp_url = otlp_url
        self._keep_journal = keep_journal
        self._planner = Planner(services)
        self._onlooker = Onlooker(services, self._planner)
        self._workflow: BatchWorkflow = register_batch_workflow(services, self._bell.ring)
        self._stop = threading.Event()
        self._mark = Mark("0")
        self._is_leading = False
        self._last_plan = Plan()
        self._has_batch_news = False
        self._endings = Endings(services, self._workflow.running)
        self._next_plan = self._next_sweep = self._next_delivery = 0.0
        self._patrol = Patrol(self._tenure, self._workflow.running)

    def stop(self) -> None:
        """Make `run` return soon; batches in flight go on at the provider."""
        self._stop.set()
        self._bell.ring()

    def run(
        self,
        *,
        until_done: bool,
        on_tick: Callable[[], None] | None = None,
    ) -> Standstill | None:
        """Work until `stop`, or with `until_done` until everything that can be done is done.

        Args:
            until_done: return at a standstill.
            on_tick: called after each look, for progress displays: with `until_done` from ten
                times a second to twice, else perhaps seldom.

        Returns:
            The standstill; None when `stop` was called. Then, as after an error, workflows are
            still under way: end the process at once, as a crash would. Taking the journal from
            under them would make them fail.
        """
        with self._services.store.read() as connection:
            # Before the first look: what is asked for from now on is news.
            self._mark = mark_now(connection)
        try:
            self._tenure.begin()
            with self._bell:
                standstill = self._work(until_done=until_done, on_tick=on_tick)
        except WorkerEndedError as error:
            message = "this worker was not heard of for too long, and others took over its work"
            raise GrabientError(message) from error
        finally:
            self._tenure.end(_DRAIN_S)
        return standstill

    def _work(self, *, until_done: bool, on_tick: Callable[[], None] | None) -> Standstill | None:
        if self._tenure.leads and until_done and not self._list_open(["stopped"]):
            plan = self._plan()
            if self._is_standstill(plan):
                return self._standstill(plan)
        threading.Thread(target=self._services.open_clients, daemon=True).start()
        launch_journal(self._journal_url, self._otlp_url, self._tenure.id)
        standstill = self._loop(until_done=until_done, on_tick=on_tick)
        if standstill is not None:
            DBOS.destroy()
        return standstill

    def _resume(self, batch_ids: list[str]) -> None:
        """A new start is a new try for batches whose workflow had died after the submission."""
        journal = open_client(self._journal_url)
        try:
            for batch_id in batch_ids:
                log.warning("resumed", batch=batch_id)
                try:
                    restart(self._services, journal, batch_id, None)
                except InputError:
                    # The journal has forgotten it: it is about to be started from the beginning.
                    reopen(self._services, batch_id)
        finally:
            journal.destroy()

    def _loop(self, *, until_done: bool, on_tick: Callable[[], None] | None) -> Standstill | None:
        pause_s = _TICK_S
        while not self._stop.is_set():
            if self._tenure.is_lost:
                raise WorkerEndedError
            try:
                has_news = self._look()
                if until_done and (standstill := self._find_standstill()):
                    return standstill
            except (StoreError, DBAPIError) as error:
                if isinstance(error, OutdatedError):
                    raise
                said = str(error).partition("\n")[0]
                if not self._tenure.others:
                    raise StoreError(f"{said}; start again when that is mended") from error
                log.warning("the database failed, will try again", error=said)
                has_news = False
            if on_tick:
                on_tick()
            pause_s = _TICK_S if has_news else min(pause_s * 1.2, _IDLE_TICK_S)
            self._pause(pause_s, is_watched=until_done)
        return None

    def _pause(self, pause_s: float, *, is_watched: bool) -> None:
        """Wait so long, or where commits ring: until one does, or something is due.

        The end of a workflow rings no bell: it is in the journal only.
        """
        time.sleep(_TICK_S)  # a burst of commits is one look
        if self._bell.hears and not (is_watched or self._endings.awaited):
            until_plan_s = self._next_plan - time.monotonic()
            pause_s = max(pause_s, min(_IDLE_WITH_BELL_S, until_plan_s))
        self._bell.wait(pause_s - _TICK_S)

    def _look(self) -> bool:
        """Do all that is due now; return whether there was something."""
        now = time.monotonic()
        delivered = self._lead() if self._tenure.leads else False
        changed = self._follow_changes()
        is_time = now >= self._next_plan
        if is_time or (self._tenure.others and (changed or self._has_batch_news)):
            self._start_unbegun()
        if self._tenure.leads and (delivered or changed or is_time):
            self._last_plan = self._plan(has_news=delivered or changed)
            self._start(self._last_plan.reserved)
            self._next_plan = now + self._until_next_look_s(self._last_plan)
        elif self._tenure.others and (changed or is_time):
            self._next_plan = now + _PLAN_AT_LEAST_EVERY_S
        self._patrol.look()
        if now >= self._next_sweep and self._tenure.leads:
            forget_ended(self._services.now() - self._keep_journal)
            self._next_sweep = now + _SWEEP_EVERY_S
        return delivered or changed or self._has_batch_news

    def _lead(self) -> bool:
        """What one of all workers does beside planning; return whether something has ended."""
        if not self._is_leading:
            self._resume(self._list_open(["stopped"]))
            self._start_open_batches()
            self._is_leading = True
        return self._deliver_endings()

    def _find_standstill(self) -> Standstill | None:
        if self._tenure.leads:
            plan = self._last_plan
            return self._standstill(plan) if self._is_standstill(plan) else None
        with self._services.store.read() as connection:
            has_due = bool(list_due(connection))
        if not has_due and is_all_answered(self._services):
            return Standstill({})
        return self._onlooker.look()

    def _plan(self, *, has_news: bool = True) -> Plan:
        """Reserve what is due; in `reserved` is what may be sent, older batches included."""
        plan = self._planner.plan() if has_news else self._planner.plan_for_safety()
        undecided = self._list_open(UNDECIDED)
        plan.reserved = [batch_id for batch_id in undecided if admit(self._services, batch_id)]
        return plan

    def _until_next_look_s(self, plan: Plan) -> float:
        """The planner looks again when the first resting model may go on, or sooner."""
        ends = [block.until for block in plan.blocked.values() if block.until]
        rests = [(end - self._services.now()).total_seconds() for end in ends]
        return min([_PLAN_AT_LEAST_EVERY_S, *rests])

    def _start_open_batches(self) -> None:
        """Start what was reserved but, because of a crash, never started; the others recover."""
        open_ids, at_work = self._list_open(OPEN_STATES), self._list_open(WORKING_STATES)
        with self._services.store.write() as connection:
            # A restart that was cut off has changed the batch, but expects no ending yet.
            rearm(connection, at_work)
        self._sweep_spool(open_ids)
        decided = set(open_ids) - set(self._list_open(UNDECIDED))
        known = (
            DBOS.list_workflows(
                workflow_ids=[f"batch-{batch_id}" for batch_id in decided],
                limit=None,
                load_input=False,
                load_output=False,
            )
            if decided
            else []
        )
        begun = {status.workflow_id.removeprefix("batch-") for status in known}
        # Not only our share: nobody else looks for what the journal does not know.
        for batch_id in (batch_id for batch_id in open_ids if batch_id in decided - begun):
            self._workflow.start(batch_id)

    def _list_open(self, states: Sequence[str]) -> list[str]:
        with self._services.store.read() as connection:
            return [batch.id for batch in list_batches(connection, states=states)][::-1]

    def _sweep_spool(self, open_ids: list[str]) -> None:
        """Remove what a crash right after a completion has left."""
        spool = self._services.spool
        for folder in spool.iterdir() if spool.exists() else ():
            if folder.name not in open_ids:
                shutil.rmtree(folder, ignore_errors=True)

    def _start_unbegun(self) -> None:
        """Start this worker's share of what may be sent, or is to end without having been."""
        with self._services.store.read() as connection:
            unbegun = list_unbegun(connection)
        self._start([batch_id for batch_id in unbegun if batch_id not in self._workflow.running])

    def _start(self, batch_ids: list[str]) -> None:
        for batch_id in filter(self._tenure.is_mine, batch_ids):
            self._workflow.start(batch_id)

    def _deliver_endings(self) -> bool:
        now = time.monotonic()
        is_time = now >= self._next_delivery
        if is_time:
            self._next_delivery = now + _PLAN_AT_LEAST_EVERY_S
        return self._endings.deliver(all_due=is_time)

    def _follow_changes(self) -> bool:
        """Wake batches whose row changed; return whether the planner should look again."""
        with self._services.store.read() as connection:
            news, mark = follow(connection, self._mark)
        self._mark = mark  # not before: a reading that fails at its end has told nobody
        self._has_batch_news = any(change.topic == "batches" for change in news)
        if not news:
            return False
        changed = {change.key for change in news if change.topic == "batches"}
        for batch_id in changed:
            self._services.wakes.tell(batch_id, "changed")
        for nudge in (change for change in news if change.topic == "nudges"):
            self._services.wakes.tell(nudge.key, "nudged")
        by_hand = [c for c in news if c.topic in {"targets", "palettes"} or c.key == "*"]
        if by_hand:
            self._planner.forget()
        return bool(by_hand) or any(c.topic == "budgets" for c in news) or self._gives_up(changed)

    def _gives_up(self, batch_ids: set[str]) -> bool:
        """Whether one of the batches is to be cancelled while it waits for room in a budget."""
        with self._services.store.read() as connection:
            waiting = list_batches(connection, states=["over_budget"])
        return any(b.cancel_requested_at and b.id in batch_ids for b in waiting)

    def _is_standstill(self, plan: Plan) -> bool:
        with self._services.store.read() as connection:
            due = {item.batch_id for item in list_due(connection)}
        if not due.issubset(self._list_open(["over_budget"])):
            return False
        return not plan.reserved and all(block.is_futile for block in plan.blocked.values())

    def _standstill(self, plan: Plan) -> Standstill:
        with self._services.store.read() as connection:
            return Standstill(plan.blocked, explain_standstill(connection))


def _for_one(services: Services, tenure: Tenure) -> Services:
    """Return the parts as one worker may use them."""
    if not tenure.others:
        return replace(services, creating=tenure.creating)
    # Workers of one machine may share a home, and one may be thought dead while it downloads.
    return replace(
        services,
        store=services.store.guarded(tenure.guard),
        creating=tenure.creating,
        spool=services.spool / tenure.id,
    )
