"""Delivers what workflows have ended with; those that the database broke go on instead."""

from collections import Counter
from collections.abc import Collection

import structlog
from dbos import DBOS, WorkflowStatus

from grabient_ops.pipeline.completion import complete
from grabient_ops.pipeline.journal import TERMINAL
from grabient_ops.pipeline.serializer import JournaledError
from grabient_ops.pipeline.services import Services
from grabient_ops.pipeline.waiting import End
from grabient_ops.store.completions import list_due

log = structlog.get_logger(__name__)
_OF_THE_DATABASE = {"OperationalError", "InterfaceError", "InternalError", "PendingRollbackError"}
_TRIES = 5


class Endings:
    """The endings of workflows, as the one worker that leads delivers them.

    Attributes:
        awaited: whether a batch was about to end at the last look.
    """

    def __init__(self, services: Services, running: Collection[str]) -> None:
        self._services = services
        self._running = running
        self._broken: Counter[str] = Counter()
        self.awaited = False

    def deliver(self, *, all_due: bool) -> bool:
        """Deliver what has ended; return whether there was something.

        Args:
            all_due: ask the journal also about batches that wait for their provider, or whose
                workflow is under way in this process.
        """
        with self._services.store.read() as connection:
            open_ = list_due(connection, ending=not all_due)
        passed_over = () if all_due else self._running
        due = {i.workflow_id: i.batch_id for i in open_ if i.batch_id not in passed_over}
        self.awaited = bool(due)
        if not due:
            return False
        ended = DBOS.list_workflows(
            workflow_ids=list(due), status=TERMINAL, limit=None, load_input=False
        )
        for status in ended:
            if not self._goes_on(status):
                complete(
                    self._services, status.workflow_id, due[status.workflow_id], _outcome(status)
                )
        return bool(ended)

    def _goes_on(self, status: WorkflowStatus) -> bool:
        """Begin a workflow anew when the journal was not to be reached: no step is to blame.

        Steps wait by themselves for a database that is away. The journal waits for most such
        errors, too, but not for all that a server says while it goes down.
        """
        error = status.error
        if not isinstance(error, JournaledError) or error.kind not in _OF_THE_DATABASE:
            return False
        self._broken[status.workflow_id] += 1
        if self._broken[status.workflow_id] > _TRIES:
            return False
        log.warning("the journal failed, goes on", workflow=status.workflow_id, error=str(error))
        DBOS.rewind_workflow(status.workflow_id)
        return True


def _outcome(status: WorkflowStatus) -> End | Exception:
    outcome = status.output if status.status == "SUCCESS" else status.error
    return outcome or RuntimeError(f"the workflow ended as {status.status}")
