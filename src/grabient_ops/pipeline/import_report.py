"""What became of every row of an import, in memory that stays small however many are refused."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from grabient_ops.importers.values import Doubtful, Passed, Refused
from grabient_ops.store.imports import Stored

_MOST_REASONS = 200
_MOST_EXAMPLES = 5
_MOST_DOUBTS = 1000
_MOST_MODELS = 1000
_LONGEST_VALUE = 120
_MOST_TABLES = 1000
_OTHER = "other reasons"
_OTHER_TABLES = "other tables"


@dataclass
class TableCount:
    """Rows of one table; `read` is the sum of the others, but for `moved`, which are stored too."""

    read: int = 0
    imported: int = 0
    updated: int = 0
    already_there: int = 0
    left_out: int = 0
    refused: int = 0
    moved: int = 0


@dataclass
class Refusals:
    """The rows that were refused for one reason."""

    count: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)


class ImportReport:
    """Counts what an import comes to.

    Attributes:
        tables: counts by table.
        passed: what was not meant to be taken.
    """

    def __init__(self, source: str, *, dry_run: bool) -> None:
        self._source = source
        self._dry_run = dry_run
        self._refused: dict[str, Refusals] = {}
        self._doubts: list[dict[str, Any]] = []
        self._doubt_count = 0
        self._unknown_models: Counter[tuple[str, str]] = Counter()
        self.tables: dict[str, TableCount] = {}
        self.passed: list[Passed] = []

    @property
    def total(self) -> TableCount:
        """The sums over all tables."""
        total = TableCount()
        for count in self.tables.values():
            for name, number in vars(count).items():
                setattr(total, name, getattr(total, name) + number)
        return total

    def add(self, table: str, rows: int, stored: Stored) -> None:
        """Count rows that were stored, or found to be there."""
        count = self._count(table)
        count.read += rows
        count.imported += stored.imported
        count.updated += stored.updated
        count.already_there += stored.already_there
        count.moved += stored.moved

    def leave_out(self, table: str) -> None:
        """Count a palette that the rule does not choose."""
        count = self._count(table)
        count.read += 1
        count.left_out += 1

    def refuse(self, refused: Refused) -> None:
        """Count a row that cannot be taken, and keep the first few of each reason."""
        count = self._count(refused.place.table)
        count.read += 1
        count.refused += 1
        has_room = refused.reason in self._refused or len(self._refused) < _MOST_REASONS
        group = self._refused.setdefault(refused.reason if has_room else _OTHER, Refusals())
        group.count += 1
        if len(group.examples) < _MOST_EXAMPLES:
            example = {**refused.place._asdict(), "value": refused.value[:_LONGEST_VALUE]}
            group.examples.append(example)

    def doubt(self, doubtful: Doubtful) -> None:
        """Note a cell of an imported row that may not be what it was."""
        self._doubt_count += 1
        if len(self._doubts) < _MOST_DOUBTS:
            self._doubts.append({**doubtful.place._asdict(), "column": doubtful.column})

    def note_unknown_model(self, provider: str, model: str) -> None:
        """Count an answer of a model that this release does not know."""
        name = (provider, model)
        if name in self._unknown_models or len(self._unknown_models) < _MOST_MODELS:
            self._unknown_models[name] += 1

    def to_json(self) -> dict[str, Any]:
        """Return the document of `--json`."""
        return {
            "source": self._source,
            "dry_run": self._dry_run,
            **asdict(self.total) | {"refused": self.refusals()},
            "tables": {table: asdict(count) for table, count in self.tables.items()},
            "doubtful": self._doubts,
            "doubtful_unlisted": self._doubt_count - len(self._doubts),
            "unknown_models": [
                {"provider": provider, "model": model, "answers": answers}
                for (provider, model), answers in self._unknown_models.most_common()
            ],
            "passed": [asdict(item) for item in self.passed],
        }

    def refusals(self) -> list[dict[str, Any]]:
        """Return why rows were refused, the most frequent reason first."""
        found = sorted(self._refused.items(), key=lambda item: -item[1].count)
        return [{"reason": reason, **asdict(group)} for reason, group in found]

    def _count(self, table: str) -> TableCount:
        has_room = table in self.tables or len(self.tables) < _MOST_TABLES
        return self.tables.setdefault(table if has_room else _OTHER_TABLES, TableCount())
