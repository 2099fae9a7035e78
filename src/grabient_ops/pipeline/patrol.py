"""Finds workflows that nobody runs any more, and puts them where a living worker takes them up."""

import time
from collections.abc import Collection

import structlog
from dbos import DBOS, WorkflowStatus

from grabient_ops.pipeline.journal import APPLICATION_VERSION, requeue_work_of
from grabient_ops.pipeline.leases import Tenure
from grabient_ops.pipeline.recovery import WORKFLOW_NAME

log = structlog.get_logger(__name__)
_AT_LEAST_EVERY_S = 30.0
_STRANDED_AFTER_S = 25.0


class Patrol:
    """Looks after the workflows of dead workers, and after our own that were lost."""

    def __init__(self, tenure: Tenure, running: Collection[str]) -> None:
        self._tenure = tenure
        self._running = running
        self._members: tuple[str, ...] = ()
        self._next = time.monotonic() + _AT_LEAST_EVERY_S
        self._stranded: dict[str, float] = {}

    def look(self) -> None:
        """Look when the workers have changed, and every half minute."""
        members = tuple(self._tenure.members)
        now = time.monotonic()
        if members == self._members and now < self._next:
            return
        under_way = DBOS.list_workflows(
            name=WORKFLOW_NAME,
            status=["PENDING", "ENQUEUED"],
            limit=None,
            load_input=False,
            load_output=False,
        )
        pending = [row for row in under_way if row.status == "PENDING"]
        if self._tenure.leads:
            self._bring_forward([r for r in under_way if r.app_version != APPLICATION_VERSION])
            self._take_over({row.executor_id or "" for row in pending})
        self._watch_own([row for row in pending if row.executor_id == self._tenure.id], now)
        # Only now: a look that the database broke off is repeated at once.
        self._members, self._next = members, now + _AT_LEAST_EVERY_S

    def _bring_forward(self, rows: list[WorkflowStatus]) -> None:
        """Begin anew what a release with other steps has left; each step sees what is done."""
        dead = self._tenure.find_dead({row.executor_id or "" for row in rows})
        for row in rows:
            if row.status == "ENQUEUED" or row.executor_id in {*dead, self._tenure.id}:
                log.warning("from another release", workflow=row.workflow_id, of=row.app_version)
                DBOS.cancel_workflow(row.workflow_id)
                DBOS.rewind_workflow(row.workflow_id, application_version=APPLICATION_VERSION)

    def _take_over(self, executors: Collection[str]) -> None:
        dead = self._tenure.find_dead(executors)
        if dead:
            log.warning("took over", workers=dead, workflows=requeue_work_of(dead))

    def _watch_own(self, pending: list[WorkflowStatus], now: float) -> None:
        """Run again what is ours, but has not been running for a while."""
        stranded = [
            row.workflow_id
            for row in pending
            if row.workflow_id.removeprefix("batch-") not in self._running
        ]
        since = {workflow_id: self._stranded.get(workflow_id, now) for workflow_id in stranded}
        for workflow_id, began in since.items():
            if now - began >= _STRANDED_AFTER_S:
                log.error("a workflow was lost, and goes on", workflow=workflow_id)
                DBOS.resume_workflow(workflow_id)
        self._stranded = since
