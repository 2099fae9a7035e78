"""Which tables a reader of the export wants."""

from typing import Any

from grabient_ops.sandbox.http import ApiError

_IN = frozenset({"included", "incl"})
_WORDS = _IN | {"excluded", "excl"}


class Selection:
    """What the field `selection` says; columns are taken or left as a whole.

    Raises:
        ApiError: it is malformed (400).
    """

    def __init__(self, selection: Any) -> None:  # noqa: ANN401 - as it was sent
        given = {} if selection is None else selection
        if not isinstance(given, dict):
            raise _refusal("it must be an object")
        root = given.get("", given.get("_other", "included"))
        self._tables = root if isinstance(root, dict) else {"_other": root}
        for name, chosen in self._tables.items():
            if not isinstance(chosen, dict) and chosen not in _WORDS:
                raise _refusal(f"{name} is neither included nor excluded")

    def takes(self, table: str) -> bool:
        """Whether a table is wanted."""
        chosen = self._tables.get(table, self._tables.get("_other", "included"))
        return isinstance(chosen, dict) or chosen in _IN


def _refusal(problem: str) -> ApiError:
    return ApiError(400, f"Invalid selection: {problem}.", code="InvalidDataSyncSelection")
