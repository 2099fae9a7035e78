"""How a provider's lines are read and written: all in which the four differ in a batch's middle."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from grabient_ops.sandbox.lifecycle import Stage
from grabient_ops.sandbox.personas.talk import Answer, Ask

JsonObject = dict[str, Any]

Part = Literal["output", "errors", "all"]
"""Which result file: OpenAI and Groq split answers from errors, Anthropic and Gemini do not."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a line, or a whole file, is refused.

    Attributes:
        code: the provider's code or error type.
        param: the offending field, where it can be named.
    """

    message: str
    code: str
    param: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Which line of which batch: what ids and times are made of.

    Attributes:
        tag: the end of the batch's id.
        created: unix time of the batch, whole seconds.
        index: position of the request in the batch.
    """

    tag: str
    created: int
    index: int


def is_number(value: object, least: float, most: float = float("inf")) -> bool:
    """Whether a JSON value is a number in a range; JSON's true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return least <= value <= most


def text_of(content: object) -> str:
    """The text of a message: plain, or the text parts of a list."""
    if isinstance(content, str):
        return content
    return "\n".join(str(part["text"]) for part in parts_of(content) if "text" in part)


def parts_of(content: object) -> list[JsonObject]:
    """The parts of a message; a plain text has none."""
    parts = content if isinstance(content, list) else []
    return [part for part in parts if isinstance(part, dict)]


class Reader(Protocol):
    """Reads the input lines of one provider."""

    def screen(self, line: JsonObject, batch_model: str | None) -> Problem | None:
        """Say why this line spoils the whole file, or None."""

    def model(self, line: JsonObject) -> str | None:
        """The model that the line itself names."""

    def key(self, line: JsonObject) -> str:
        """The client's id for the request."""

    def body(self, line: JsonObject) -> JsonObject:
        """The request without its id."""

    def check(self, body: JsonObject) -> Problem | None:
        """Say why this one request is refused although its batch runs, or None."""

    def schema(self, body: JsonObject) -> JsonObject | None:
        """The JSON schema that the answer must obey, if one was given."""

    def ask(self, body: JsonObject) -> Ask:
        """What the model is asked."""


class Writer(Protocol):
    """Writes the result lines of one provider."""

    def answered(self, key: str, answer: Answer, place: Place) -> JsonObject:
        """A result line with an answer."""

    def rejected(self, key: str, problem: Problem, place: Place) -> JsonObject:
        """A result line for a request that was refused."""

    def failed(self, key: str, place: Place) -> JsonObject:
        """A result line for a request that failed on the provider's side."""

    def unreached(self, key: str, end: Stage, place: Place) -> JsonObject:
        """A result line for a request whose turn never came."""
