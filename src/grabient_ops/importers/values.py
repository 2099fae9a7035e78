"""What importers yield: the rows of another system in our words, or why one is refused."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

from grabient_ops.palettes.palette import Palette
from grabient_ops.tagging.coercion import Tags
from grabient_ops.tagging.kinds import Kind
from grabient_ops.tagging.outcome import ErrorClass
from grabient_ops.tagging.usage import Usage

Source: TypeAlias = Literal["d1", "convex"]
"""Where imported rows come from; our own are `own`."""


class Place(NamedTuple):
    """Where a row stands.

    Attributes:
        table: its table there.
        line: line of the file, or number of the row in a file that has no lines; from 1.
    """

    table: str
    line: int


@dataclass(frozen=True, slots=True)
class ImportedPalette:
    """A valid palette.

    Attributes:
        attributes: what is said there beside the seed.
    """

    place: Place
    palette: Palette
    attributes: dict[str, Any]
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A palette that the operator's rule does not choose."""

    place: Place


@dataclass(frozen=True, slots=True)
class ImportedPrompt:
    """A prompt with its text, under the version that it has there."""

    place: Place
    version: str
    kind: Kind
    content: str
    message: str
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class RefinementParts:
    """What a refinement has beside what every answer has.

    Attributes:
        source_prompt_versions: of the answers that were refined.
        input: what the model was shown; empty where that is not known.
        embed_text: the text for search, verbatim.
    """

    source_prompt_versions: list[str]
    input: str
    embed_text: str | None


@dataclass(slots=True)  # frozen ones take thrice as long to make, and these come by the million
class ImportedAnswer:
    """An answer or a failure of tagging, or of refinement.

    Attributes:
        source_id: what tells it from every other row there, at every reading.
        digest: changes whenever the row does; None where `source_id` does so.
        run_number: as it is there, from 1.
        prompt_version: as it is there, verbatim; None where nobody knows it.
        response: what the row holds as its tags, verbatim.
        error_class: None when `tags` is there.
        error: what is said there, even beside tags.
        extra: what else the row holds, as JSON values.
        refinement: None for tagging.
    """

    place: Place
    source_id: str
    digest: str | None
    seed: str
    provider: str
    model: str
    run_number: int
    prompt_version: str | None
    tags: Tags | None
    ambiguous: tuple[str, ...]
    response: str | None
    error_class: ErrorClass | None
    error: str | None
    usage: Usage
    created_at: datetime | None
    extra: dict[str, Any] = field(default_factory=dict)
    refinement: RefinementParts | None = None


@dataclass(frozen=True, slots=True)
class ImportedBatch:
    """A batch of the past: history, never polled by us.

    Attributes:
        document: the whole row, as JSON values.
    """

    place: Place
    source_id: str
    kind: Kind
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that cannot be taken.

    Attributes:
        reason: one sentence, the same for rows that fail alike.
        value: what it was about, not to be shown in full.
    """

    place: Place
    reason: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A cell of an imported row whose original can no longer be told for certain."""

    place: Place
    column: str


@dataclass(frozen=True, slots=True)
class Passed:
    """Rows that are not taken, and were not meant to be.

    Attributes:
        what: name of a table, or of something else that a file holds.
        rows: how many.
        reason: half a sentence.
    """

    what: str
    rows: int
    reason: str


class Progressed(NamedTuple):
    """How far the reading is, in bytes; `total` is None where that is unknown."""

    done: int
    total: int | None


Record: TypeAlias = (
    ImportedPalette
    | LeftOut
    | ImportedPrompt
    | ImportedAnswer
    | ImportedBatch
    | Refused
    | Doubtful
    | Passed
    | Progressed
)
