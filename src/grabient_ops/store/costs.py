"""What the answers have cost: exact sums over their rows, by whatever an operator asks for."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.columns import Cost
from grabient_ops.store.counting import one_if
from grabient_ops.store.tables import answers_of, batches, requests
from grabient_ops.tagging.kinds import KINDS, Kind

_SAMPLE = 1000
_TOKENS = ("input_tokens", "output_tokens", "cached_tokens")


class MeanUsage(NamedTuple):
    """Tokens of a usual request, as observed."""

    input_tokens: float
    output_tokens: float
    cached_tokens: float


def mean_usage(connection: Connection, kind: Kind, key: dict[str, Any]) -> MeanUsage | None:
    """Return the mean tokens of up to a thousand answers to a (prompt version, provider, model)."""
    answers = answers_of(kind)
    some = (
        sa.select(*(answers.c[name] for name in _TOKENS))
        .filter_by(**key)
        .where(answers.c.input_tokens > 0)
        .limit(_SAMPLE)
        .subquery()
    )
    means = connection.execute(sa.select(*(sa.func.avg(some.c[name]) for name in _TOKENS))).one()
    return None if means[0] is None else MeanUsage(*map(float, means))


class Answerer(NamedTuple):
    """Who answered: the model that was asked, and the one that the provider says has answered."""

    provider: str
    model: str
    model_returned: str | None


class Tariff(NamedTuple):
    """Pico-dollars per token, of input afresh, input from a cache, and output."""

    fresh: int
    cached: int
    output: int


class Tariffs(NamedTuple):
    """One answerer's prices through the batch API and through the ordinary one."""

    answerer: Answerer
    batch: Tariff
    standard: Tariff


class Sum(NamedTuple):
    """What a group of answers has cost; amounts in pico-dollars.

    Attributes:
        group: the values that the rows were grouped by.
        kind: `tagging` or `refinement`.
        answers: how many there are, paid failures included.
        cost: through the batch API; what has no known price is not in it.
        standard_cost: the same tokens through the ordinary API.
        unpriced: how many of the answers have no known price.
    """

    group: tuple[Any, ...]
    kind: Kind
    answers: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost: int
    standard_cost: int
    unpriced: int


def list_answerers(connection: Connection) -> list[Answerer]:
    """Return who has answered anything."""
    found: set[Answerer] = set()
    for kind in KINDS:
        answers = answers_of(kind)
        query = sa.select(*(answers.c[name] for name in Answerer._fields)).distinct()
        found.update(Answerer(*row) for row in connection.execute(query))
    return sorted(found, key=str)


def sum_costs(
    connection: Connection, group: Sequence[str], tariffs: Sequence[Tariffs], limit: int | None
) -> Iterator[Sum]:
    """Yield the sums of each group of answers, tagging before refinement, the dearest first.

    Args:
        connection: a snapshot.
        group: columns of the answers; none for one sum over all.
        tariffs: the prices of those who have answered; who is missing has no known price.
        limit: only so many of each kind.
    """
    for kind in KINDS:
        query = _sums(answers_of(kind), group, tariffs)
        for row in connection.execute(query.limit(limit)):
            keys, sums = row[: len(group)], row[len(group) :]
            yield Sum(tuple(keys), kind, *(int(value or 0) for value in sums))


def _sums(table: sa.Table, group: Sequence[str], tariffs: Sequence[Tariffs]) -> sa.Select[Any]:
    columns = [table.c[name] for name in group]
    total = sa.func.sum
    has_tokens = table.c.input_tokens + table.c.output_tokens > 0
    # Rows of a release that kept no cost are priced as of today.
    cost = sa.func.coalesce(table.c.cost, _priced(table, [(t.answerer, t.batch) for t in tariffs]))
    standard = _priced(table, [(t.answerer, t.standard) for t in tariffs])
    is_unpriced = sa.and_(has_tokens, cost.is_(None))
    cost_sum = total(cost).label("cost_sum")
    query = sa.select(
        *columns,
        total(one_if(has_tokens)),
        *(total(table.c[name]) for name in _TOKENS),
        cost_sum,
        total(standard),
        total(one_if(is_unpriced)),
    ).select_from(table)
    return query.group_by(*columns).order_by(sa.desc("cost_sum").nulls_last(), *columns)


def _priced(table: sa.Table, prices: Sequence[tuple[Answerer, Tariff]]) -> sa.ColumnElement[Any]:
    fresh = sa.cast(table.c.input_tokens - table.c.cached_tokens, sa.BigInteger)
    branches = [
        (
            sa.and_(*(table.c[name].is_not_distinct_from(value)
                      for name, value in answerer._asdict().items())),
            fresh * tariff.fresh
            + table.c.cached_tokens * sa.cast(tariff.cached, sa.BigInteger)
            + table.c.output_tokens * sa.cast(tariff.output, sa.BigInteger),
        )
        for answerer, tariff in prices
    ]  # fmt: skip
    return sa.case(*branches, else_=None) if branches else sa.cast(sa.null(), Cost)


class PassCost(NamedTuple):
    """What a pass has cost so far.

    Attributes:
        requests: how many of its requests have an outcome, failures included.
        cost: of its batches that have ended, in pico-dollars.
    """

    requests: int
    cost: int


def cost_of_pass(
    connection: Connection, prompt_version: str, models: Sequence[str], runs: int, since: datetime
) -> PassCost:
    """Return what the batches have cost that were sent since a moment.

    Args:
        connection: a snapshot.
        prompt_version: under which it was asked.
        models: who was asked, as `provider/model`.
        runs: only runs 1 to this one.
        since: when the pass was first asked for.
    """
    mine = sa.and_(
        batches.c.prompt_version == prompt_version,
        (batches.c.provider + "/" + batches.c.model).in_(models),
        batches.c.run_number <= runs,
        batches.c.submit_started_at >= since,
    )
    cost = connection.execute(sa.select(sa.func.sum(batches.c.settled_cost)).where(mine)).scalar()
    # The first attempt of a request has one outcome, however often it was reserved.
    outcomes = (
        sa.select(sa.func.count())
        .select_from(requests.join(batches, batches.c.id == requests.c.batch_id))
        .where(mine, requests.c.attempt == 1)
        .where(requests.c.state.in_(("succeeded", "failed", "missing")))
    )
    return PassCost(connection.execute(outcomes).scalar_one(), int(cost or 0))
