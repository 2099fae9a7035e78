"""Writes the payload of a batch: reserved requests -> provider-ready lines on disk."""

import hashlib
import os
from base64 import b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path

from grabient_ops.errors import InputError
from grabient_ops.images.render import render_pngs
from grabient_ops.pipeline.services import Services
from grabient_ops.providers.base import Encoder, Submission
from grabient_ops.providers.catalog import Model, PictureForm
from grabient_ops.store.batches import Batch
from grabient_ops.store.prompts import get_prompt
from grabient_ops.store.requests import Request, list_inputs, list_requests
from grabient_ops.tagging.message import user_messages
from grabient_ops.tagging.prompts import answer_schema, refinement_schema

_PAGE = 2000
"""Requests that are described at once: NumPy needs many to be fast."""
_LINES = 125
"""Lines that are made at once: few enough to stay in the processor's cache."""


def wire_parameters(model: Model) -> dict[str, object]:
    """Return what is sent beside the texts; kept with the batch, so that it can be rebuilt."""
    return {
        "temperature": model.temperature,
        "max_output_tokens": model.max_output_tokens,
        "max_tokens_parameter": model.max_tokens_parameter,
        "structured_output": model.structured_output,
        "extra": model.extra,
    }


def payload_path(services: Services, batch_id: str) -> Path:
    """Return where the payload of a batch lies while it is in flight."""
    return services.spool_of(batch_id) / "payload.jsonl"


def write_payload(services: Services, batch: Batch) -> tuple[Submission, str]:
    """Write all requests of a batch to its spool folder; return the submission and its SHA-256.

    The same batch gives the same bytes each time. Memory does not grow with the batch. A payload
    that has its name is whole: one that was cut off would be bought as it is.
    """
    model = services.model_of(batch)
    with services.store.read() as connection:
        prompt = get_prompt(connection, batch.prompt_version)
    if prompt is None:
        raise InputError(f"prompt version {batch.prompt_version} is not registered")
    refines = batch.kind == "refinement"
    schema = refinement_schema() if refines else answer_schema()
    form = _picture_form(batch)
    encode = services.provider_of(batch).encoder(model, prompt.content, schema, form)
    write_page = _refinement_page if refines else _tagging_page
    target = payload_path(services, batch.id)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    digest = hashlib.sha256()
    with part.open("wb") as file:
        for start in range(0, batch.request_count, _PAGE):
            with services.store.read() as connection:
                size = min(_PAGE, batch.request_count - start)
                page = list_requests(connection, batch.id, start, size)
            for lines in write_page(services, batch, encode, page):
                digest.update(lines)
                file.write(lines)
        file.flush()
        os.fsync(file.fileno())
    part.replace(target)
    return as_submission(batch, model, target), digest.hexdigest()


def _tagging_page(
    services: Services, batch: Batch, encode: Encoder, page: Sequence[Request]
) -> Iterator[bytes]:
    del services
    users = user_messages([request.seed for request in page])
    for start in range(0, len(page), _LINES):
        some = slice(start, start + _LINES)
        yield encode(_custom_ids(batch, page[some]), users[some])


def _refinement_page(
    services: Services, batch: Batch, encode: Encoder, page: Sequence[Request]
) -> Iterator[bytes]:
    for start in range(0, len(page), _LINES):
        some = page[start : start + _LINES]
        with services.store.read() as connection:
            texts = list_inputs(connection, batch.id, [request.position for request in some])
        users = [texts[request.position] for request in some]
        pictures = _pictures(services, _picture_form(batch), [request.seed for request in some])
        yield encode(_custom_ids(batch, some), users, pictures)


def _custom_ids(batch: Batch, page: Sequence[Request]) -> list[str]:
    return [f"{batch.id}-{request.position}" for request in page]


def _picture_form(batch: Batch) -> PictureForm | None:
    form: PictureForm | None = (batch.options or {}).get("pictures")
    return form


def _pictures(services: Services, form: PictureForm | None, seeds: Sequence[str]) -> list[str]:
    if form == "inline":
        return [b64encode(picture).decode() for picture in render_pngs(seeds)]
    return [(form and services.picture_url(seed)) or "" for seed in seeds]


def as_submission(batch: Batch, model: Model, payload: Path) -> Submission:
    """Return what the provider's file needs to know about a batch."""
    return Submission(
        key=batch.id,
        model=model,
        payload=payload,
        request_count=batch.request_count,
        input_file_id=batch.input_file_id,
        high_water=batch.high_water,
        started_at=batch.created_at,
    )
