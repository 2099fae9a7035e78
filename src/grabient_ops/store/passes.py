"""Passes: what operators asked for, what they were told it would cost, and what it may cost."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.changes import announce
from grabient_ops.store.tables import batches, passes
from grabient_ops.store.upsert import insert_new
from grabient_ops.tagging.kinds import Kind

_NEXT = timedelta(microseconds=1)


class Pass(NamedTuple):
    """One wish of an operator; the same words again are the same pass.

    Attributes:
        id: hash of what was asked for.
        kind: `tagging` or `refinement`.
        prompt_version: under which it is asked.
        asked: the words: models, runs, limit ...; `after` names the pass that it follows by itself.
        estimate: as it was told when first asked for; empty for one that began by itself.
        budget: most that it may cost, in pico-dollars; None without a limit.
        budget_at: when the budget was given or lifted, as `moment_of_asking` says; None when
            nobody has said anything.
        created_at: when it was first asked for, as `moment_of_asking` says; what was sent before
            is not counted.
        updated_at: when it was last asked for.
    """

    id: str
    kind: Kind
    prompt_version: str
    asked: dict[str, Any]
    estimate: dict[str, Any]
    budget: int | None
    budget_at: datetime | None
    created_at: datetime
    updated_at: datetime


def list_passes(connection: Connection, prompt_version: str | None = None) -> list[Pass]:
    """Return passes, oldest first; of one prompt version or of all."""
    query = sa.select(passes).order_by(passes.c.created_at, passes.c.id)
    if prompt_version is not None:
        query = query.where(passes.c.prompt_version == prompt_version)
    return [Pass(*row) for row in connection.execute(query)]


def find_governing(connection: Connection, prompt_version: str) -> Pass | None:
    """Return the pass whose budget was given or lifted last; it holds for the prompt version."""
    query = (
        sa.select(passes)
        .where(passes.c.prompt_version == prompt_version, passes.c.budget_at.is_not(None))
        .order_by(passes.c.budget_at.desc(), passes.c.id)
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else Pass(*row)


def moment_of_asking(connection: Connection, prompt_version: str, now: datetime) -> datetime:
    """Return now, but after all that was asked for, given or sent under a prompt version before.

    Clocks of machines differ, and may be set back: which word is newer, and what a pass counts,
    must follow from the order of the transactions.
    """
    asked = sa.select(sa.func.max(passes.c.created_at), sa.func.max(passes.c.budget_at))
    sent = sa.select(sa.func.max(batches.c.submit_started_at))
    before: list[datetime | None] = [
        *connection.execute(asked.where(passes.c.prompt_version == prompt_version)).one(),
        *connection.execute(sent.where(batches.c.prompt_version == prompt_version)).one(),
    ]
    return max([now, *(moment + _NEXT for moment in before if moment)])


def moment_of_sending(connection: Connection, prompt_version: str, now: datetime) -> datetime:
    """Return now, but not before any pass of a prompt version, all of which are to count it."""
    asked = sa.select(sa.func.max(passes.c.created_at))
    newest = connection.execute(asked.where(passes.c.prompt_version == prompt_version)).scalar()
    return now if newest is None else max(now, newest)


def get_pass(connection: Connection, pass_id: str) -> Pass | None:
    """Return the pass with exactly this id."""
    row = connection.execute(sa.select(passes).where(passes.c.id == pass_id)).first()
    return None if row is None else Pass(*row)


def list_followers(connection: Connection, pass_id: str) -> list[Pass]:
    """Return the passes that began by themselves after this one, and are paid from its budget."""
    return [item for item in list_passes(connection) if item.asked.get("after") == pass_id]


def save_pass(connection: Connection, wanted: Pass) -> Pass:
    """Keep a pass, and return it as it is stored.

    Of one that is known only the moment changes, and the estimate where there was nothing to do.
    """
    announce(connection, "budgets", [wanted.prompt_version], wanted.updated_at)
    if insert_new(connection, passes, [wanted._asdict()]):
        return wanted
    query = sa.select(passes).where(passes.c.id == wanted.id).with_for_update()
    known = Pass(*connection.execute(query).one())
    estimate = known.estimate if known.estimate.get("requests") else wanted.estimate
    changed = known._replace(estimate=estimate, updated_at=wanted.updated_at)
    connection.execute(sa.update(passes).where(passes.c.id == wanted.id).values(changed._asdict()))
    return changed


def set_budget(connection: Connection, changed: Pass, budget: int | None, at: datetime) -> Pass:
    """Give a pass a budget, or lift it with None; waiting batches look again."""
    values = {"budget": budget, "budget_at": at, "updated_at": at}
    connection.execute(sa.update(passes).where(passes.c.id == changed.id).values(values))
    announce(connection, "budgets", [changed.prompt_version], at)
    return changed._replace(budget=budget, budget_at=at, updated_at=at)
