"""What goes into a persona and what comes out, as small values that cost nothing to import."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Finish = Literal["stop", "length", "refusal"]


@dataclass(frozen=True, slots=True)
class Ask:
    """One question, as far as a persona cares.

    Attributes:
        text: the user's message; its first hex colours are the palette.
        instruction_chars: length of everything else that the model reads.
        temperature: 0..2, whatever the provider's scale.
        json_only: whether the provider guarantees JSON syntax.
        max_tokens: the answer is cut there.
        thinks: whether reasoning was asked for.
        thinking_budget: most tokens of reasoning, where the client says so.
        shows_thoughts: whether a summary of the reasoning is wanted too.
        more_keys: keys that the instructions ask for besides the ten fields.
        pictures: how many are shown.
        model: who is asked, where requests of one batch may differ; empty means the batch's.
    """

    text: str
    instruction_chars: int = 0
    temperature: float = 1.0
    json_only: bool = False
    max_tokens: int | None = None
    thinks: bool = False
    thinking_budget: int | None = None
    shows_thoughts: bool = False
    more_keys: Sequence[str] = ()
    pictures: int = 0
    model: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came out.

    Attributes:
        finish: why the model stopped.
        input_tokens: cached ones and pictures included.
        picture_tokens: the part of `input_tokens` that pictures cost.
        output_tokens: reasoning included.
        model: what the provider says has answered, often a dated variant.
        thoughts: summary of the reasoning; empty when there was none or none was wanted.
    """

    text: str
    finish: Finish
    input_tokens: int
    picture_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    model: str
    thoughts: str


@dataclass(slots=True)
class Tokens:
    """A sum over answers; `input_tokens` includes cached ones, `output_tokens` reasoning."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    def add(self, answer: Answer) -> None:
        """Count one more answer."""
        self.input_tokens += answer.input_tokens
        self.cached_tokens += answer.cached_tokens
        self.output_tokens += answer.output_tokens
        self.reasoning_tokens += answer.reasoning_tokens
