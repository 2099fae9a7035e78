"""What the warehouse takes from a success in the store's `palette_tag_refined`."""

from typing import NamedTuple


class Refinement(NamedTuple):
    """One refined palette.

    Attributes:
        refinement_id: the row's id in the store.
        tags: JSON of the ten canonical fields, as stored.
        sentence: the model's own words.
        created_at: ISO 8601 with an offset.
        cost: in pico-dollars; None without a price.
        source: who asked: `own`, or the system that the row was imported from.
    """

    refinement_id: int
    seed: str
    provider: str
    model: str
    prompt_version: str
    run_number: int
    batch_id: str
    tags: str
    embed_text: str
    sentence: str | None
    created_at: str
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost: int | None = None
    source: str = "own"


_COLUMNS = ", ".join(("id", *Refinement._fields[1:])).replace("tags", "CAST(tags AS TEXT)")

REFINEMENTS = f"""SELECT {_COLUMNS} FROM palette_tag_refined
WHERE error_class IS NULL AND tags IS NOT NULL AND embed_text <> ''"""  # noqa: S608 - names of ours
"""Reads all refined palettes, on both databases; one without a text cannot be searched for."""
