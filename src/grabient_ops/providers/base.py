"""The promise that every provider keeps, from encoding a request to reading its answer.

A provider file translates one company's API into these values and errors, once. It keeps no state,
never retries and never sleeps: order, patience and exactly-once spending belong to `pipeline/`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from grabient_ops.providers.catalog import Model, PictureForm
from grabient_ops.tagging.outcome import ErrorClass
from grabient_ops.tagging.usage import Usage

ProviderName = Literal["openai", "anthropic", "google", "groq"]
PROVIDERS: tuple[ProviderName, ...] = ("openai", "anthropic", "google", "groq")


class Encoder(Protocol):
    """Turns requests into provider-ready JSONL lines."""

    def __call__(
        self, custom_ids: Sequence[str], users: Sequence[str], pictures: Sequence[str] = ()
    ) -> bytes:
        """Return the lines, each with its newline.

        Args:
            custom_ids: our names for the requests, echoed with their answers.
            users: what is said to the model, for each.
            pictures: what is shown to it, for each, in the form that the encoder was made for;
                ignored by an encoder that was made without pictures.
        """


@dataclass(frozen=True, slots=True)
class Submission:
    """One batch as we mean to create it.

    Attributes:
        key: our nonce, `[a-z0-9]{12}`, unique for ever; it is the prefix of every `custom_id`
            (`<key>-<position>`) and goes into metadata, display name and file name where there
            are such things.
        model: what answers.
        payload: JSONL file of encoder lines.
        request_count: lines in the payload, at least 1.
        input_file_id: what `upload` returned; None where the provider takes no file.
        high_water: what `high_water` returned before the first `create`.
        started_at: a moment before the first `create` could have been sent (aware, UTC).
    """

    key: str
    model: Model
    payload: Path
    request_count: int
    input_file_id: str | None = None
    high_water: str | None = None
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FoundBatch:
    """A batch at the provider that is, or may be, an earlier submission of ours.

    Attributes:
        id: the provider's id.
        certain: True when our own mark was echoed; False when only time and count agree
            (Anthropic), so its results must prove it once the batch has ended.
    """

    id: str
    certain: bool


@dataclass(frozen=True, slots=True)
class ResultFile:
    """One downloadable part of a batch's results.

    Attributes:
        name: `output` or `errors`; unique within the batch.
        ref: what the provider needs to fetch it (file id or URL).
    """

    name: str
    ref: str


@dataclass(frozen=True, slots=True)
class BatchRunning:
    """Not finished; ask again later.

    Attributes:
        completed: requests that the provider says are done, 0 where it does not say.
        failed: requests that the provider says have failed.
        canceling: a cancel was accepted and is under way.
        unfamiliar: the provider's state text when we do not know it; treated as running, and shown.
        resultless: it has ended well, but where the results are is not said, or not yet.
    """

    completed: int = 0
    failed: int = 0
    canceling: bool = False
    unfamiliar: str | None = None
    resultless: bool = False


@dataclass(frozen=True, slots=True)
class BatchEnded:
    """Finished; all or some results can be read.

    Attributes:
        how: the provider's last word on the batch.
        files: every part to download; may be empty (Gemini after `expired`).
    """

    how: Literal["completed", "expired", "canceled", "failed"]
    files: tuple[ResultFile, ...] = ()
    message: str | None = None


@dataclass(frozen=True, slots=True)
class BatchRejected:
    """Finished without having run, and there will be no results; nothing was billed.

    Attributes:
        reason: the provider's text, one line.
        queue_full: True when only the size of our queue was the reason (enqueued-token limit): the
            same requests may be sent later or in smaller batches.
    """

    reason: str
    queue_full: bool = False


BatchState = BatchRunning | BatchEnded | BatchRejected
"""Branch with `match`, end in `case _: assert_never(state)`."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One request's answer, whatever its text is worth.

    Attributes:
        text: the visible answer, verbatim, without thoughts. Empty when the model said nothing.
        finish_reason: `stop`, `length`, `refusal`, or the provider's own word, lower-case.
        model_returned: the model that the provider says has answered.
    """

    custom_id: str
    text: str
    finish_reason: str | None
    model_returned: str | None
    usage: Usage


@dataclass(frozen=True, slots=True)
class Failed:
    """One request's failure at the provider.

    Attributes:
        message: the provider's text, verbatim.
        usage: tokens billed in spite of the failure; normally none.
    """

    custom_id: str
    error_class: ErrorClass
    message: str
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that belongs to no request as far as we can tell.

    Attributes:
        reason: why it could not be read, one line.
    """

    reason: str


Result = Answered | Failed | Unreadable


class Provider(Protocol):
    """One company's batch API. Every method may raise the errors of `grabient_ops.errors`."""

    name: ProviderName
    echoes_key: bool
    """Whether `find` recognises our key; False where nothing of ours is listed (Anthropic)."""

    def encoder(
        self,
        model: Model,
        system: str,
        schema: Mapping[str, Any] | None = None,
        pictures: PictureForm | None = None,
    ) -> Encoder:
        """Return a fast function that turns requests into payload lines.

        Args:
            model: what answers; its parameters go into every line.
            system: the system prompt; it says "JSON" where an answer in JSON is wanted.
            schema: JSON schema of the answer, sent as far as `model.structured_output` goes;
                None asks for plain text.
            pictures: show a picture with every text: `url` for the address of one that the provider
                fetches, `inline` for a PNG in base64; see `Model.picture_form`.
        """

    def upload(self, submission: Submission) -> str | None:
        """Upload the payload and return its file id, or None where no file is used.

        Safe to repeat: a second upload costs nothing and the first is simply never used.
        """

    def high_water(self) -> str | None:
        """Return a mark below which no batch can be a submission made after this call.

        Only where nothing of ours is echoed (Anthropic: the newest batch id, or "" for none);
        None elsewhere.
        """

    def create(self, submission: Submission) -> str:
        """Create the batch and return the provider's id: spends money, is not idempotent.

        Raises:
            UnavailableError: unless `outcome_unknown` is False, nobody knows whether the batch
                exists; use `find` before trying again.
            ProviderError: any other kind means that nothing was created.
        """

    def find(self, submission: Submission) -> Sequence[FoundBatch]:
        """List the batches at the provider that may be this submission, oldest first.

        Pages back to before `submission.started_at`. A failed listing raises; it never means
        "not found".
        """

    def poll(self, batch_id: str) -> BatchState:
        """Ask for the state of one batch."""

    def cancel(self, batch_id: str) -> None:
        """Ask the provider to stop; harmless when the batch has already ended."""

    def download(self, batch_id: str, file: ResultFile, target: Path) -> None:
        """Stream one result file to `target`, byte for byte.

        Raises:
            UnavailableError: the stream ended early; `target` holds nothing to rely on.
        """

    def read(self, line: bytes) -> Result:
        """Parse one line of a result file; never raises on bad data."""
