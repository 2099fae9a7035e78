"""What the answers used and cost, and how requests failed."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

from grabient_ops.analytics.questions.asking import EVERYTHING, Selection, ask, chosen

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from grabient_ops.analytics.warehouse import Warehouse

Part: TypeAlias = Literal["provider", "model", "run_number", "prompt_version"]
PARTS: tuple[Part, ...] = get_args(Part)


class ModelPrices(NamedTuple):
    """Prices of one model in USD per million tokens; None when nobody publishes them."""

    provider: str
    model: str
    input: float | None
    cached_input: float | None
    output: float | None
    batch_input: float | None
    batch_cached_input: float | None
    batch_output: float | None


class Used(NamedTuple):
    """What one part of the answers used.

    Attributes:
        provider, model, run_number, prompt_version: which part; None for all of them.
        requests: with failed ones and every attempt.
        answered: those that brought tags.
        cost_usd: at batch prices; None when no price is known.
        standard_usd: what the same tokens cost without batches.
        unpriced: requests without a known price; the two sums leave them out.
    """

    provider: str | None
    model: str | None
    run_number: int | None
    prompt_version: str | None
    requests: int
    answered: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_usd: float | None
    standard_usd: float | None
    unpriced: int

    @property
    def saved_usd(self) -> float | None:
        """What batch prices saved."""
        if self.cost_usd is None or self.standard_usd is None:
            return None
        return self.standard_usd - self.cost_usd


def usage(
    warehouse: "Warehouse",
    prices: Iterable[ModelPrices],
    selection: Selection = EVERYTHING,
    *,
    by: Sequence[Part] = PARTS,
) -> list[Used]:
    """Sum up tokens and cost of each part; an empty `by` gives the total.

    The model that answered sets the price, or, where it has none of ours, the model that was asked.
    """
    with chosen(warehouse, selection) as cursor:
        lay_out_prices(cursor, prices)
        return ask(cursor, "usage", Used, by=[*by])


def lay_out_prices(cursor: "DuckDBPyConnection", prices: Iterable[ModelPrices]) -> None:
    """Put prices where `usage.sql` looks for them."""
    texts, numbers = ModelPrices._fields[:2], ModelPrices._fields[2:]
    columns = [f"{name} VARCHAR" for name in texts] + [f"{name} DOUBLE" for name in numbers]
    cursor.execute(f"CREATE TEMP TABLE prices ({', '.join(columns)})")
    marks = ", ".join("?" for _ in ModelPrices._fields)
    for row in prices:
        cursor.execute(f"INSERT INTO prices VALUES ({marks})", row)  # noqa: S608 - marks


class Failures(NamedTuple):
    """How often one model's requests failed in one way; share is failed / responses."""

    provider: str
    model: str
    error_class: str
    failed: int
    responses: int
    share: float


def errors(warehouse: "Warehouse", selection: Selection = EVERYTHING) -> list[Failures]:
    """Count failures by model and error class; every attempt counts."""
    with chosen(warehouse, selection) as cursor:
        return ask(cursor, "errors", Failures)
