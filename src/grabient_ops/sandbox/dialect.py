"""What a provider's lines look like: all in which the four differ while results are made."""

from dataclasses import dataclass
from typing import Any, Protocol

from grabient_ops.sandbox.lifecycle import Stage
from grabient_ops.sandbox.personas.voice import Answer, Ask

JsonObject = dict[str, Any]


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
class Maker:
    """From what a batch's result lines take their ids and times.

    Attributes:
        model: as the client asked for it.
        created: unix time, whole seconds.
    """

    batch_id: str
    model: str
    created: int
    index: int = 0


class Dialect(Protocol):
    """Reads one provider's input lines and writes its result lines."""

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

    def ask(self, body: JsonObject) -> Ask:
        """What the model is asked."""

    def answered(self, key: str, answer: Answer, maker: Maker) -> JsonObject:
        """A result line with an answer."""

    def rejected(self, key: str, problem: Problem, maker: Maker) -> JsonObject:
        """A result line for a request that was refused."""

    def failed(self, key: str, maker: Maker) -> JsonObject:
        """A result line for a request that failed on the provider's side."""

    def unreached(self, key: str, end: Stage, maker: Maker) -> JsonObject:
        """A result line for a request whose turn never came."""
