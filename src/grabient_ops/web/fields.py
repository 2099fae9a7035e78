"""What people type into forms: read from address and body alike, complained of in one sentence."""

from collections.abc import Awaitable, Callable
from dataclasses import fields
from datetime import date
from math import isfinite
from typing import Annotated, Any, TypeVar, cast

from fastapi import Depends, Query, Request
from pydantic import BeforeValidator, Field

from grabient_ops.errors import InputError
from grabient_ops.pipeline.limits import to_pico
from grabient_ops.pipeline.passes import Budget

T = TypeVar("T")
MOST_USD = 9_000_000
"""What still fits into the store, in pico-dollars."""

Word = Annotated[str, Query(max_length=200, pattern="^[^\\x00]*$")]
"""A short text; no database takes a NUL."""
Words = Annotated[tuple[Word, ...], Query(max_length=200)]
"""What was ticked in a list."""


def _none_of_nothing(value: object) -> object:
    return None if value == "" else value


Day = Annotated[date | None, BeforeValidator(_none_of_nothing), Query()]
"""A day; an empty field is none."""
Number = Annotated[
    Annotated[int, Field(ge=0, le=2**53)] | None, BeforeValidator(_none_of_nothing), Query()
]
"""A number of ours, such as an id; an empty field is none."""


def posted(kind: Callable[..., T]) -> Callable[[Request], Awaitable[T]]:
    """Return a dependency that reads a form into a dataclass of texts.

    Args:
        kind: the dataclass; a page may take the same one from its address. What is ticked in a
            list stands in a tuple.

    The dependency raises InputError for texts that no database takes.
    """
    known = fields(cast("Any", kind))

    async def read(request: Request) -> T:
        form = await request.form()
        given: dict[str, Any] = {}
        for field in known:
            texts = [text for text in form.getlist(field.name) if isinstance(text, str)]
            if any("\0" in text for text in texts):
                raise InputError(f"{field.name} holds NUL characters")
            if isinstance(field.default, tuple):
                given[field.name] = tuple(texts)
            elif texts:
                given[field.name] = texts[0]
        return kind(**given)

    return read


async def _once_key(request: Request) -> str:
    key = (await request.form()).get("once", "")
    return key if isinstance(key, str) else ""


OnceKey = Annotated[str, Depends(_once_key)]
"""The idempotency key of a form, for `web.once`."""


def whole(text: str, name: str, most: int) -> int:
    """Read a whole number from 1 on.

    Raises:
        InputError: it is none, or greater than `most`.
    """
    digits = text.strip().replace(",", "")
    if digits.isascii() and digits.isdigit() and 1 <= int(digits[:20]) <= most:
        return int(digits)
    raise InputError(f"{name}: {_quoted(text)} is no whole number from 1 to {most:,}")


def amount(text: str, name: str, most: float = MOST_USD) -> float:
    """Read a number from 0 on.

    Raises:
        InputError: it is none, or greater than `most`.
    """
    try:
        value = float(text.strip().removeprefix("$").replace(",", ""))
    except ValueError:
        value = -1.0
    if isfinite(value) and 0 <= value <= most:
        return value
    raise InputError(f"{name}: {_quoted(text)} is no number from 0 to {most:,}")


def budget(text: str, *, lift: bool) -> Budget:
    """Read a budget in USD; an empty field keeps what is in force.

    Raises:
        InputError: it is no amount, or it is to be lifted as well.
    """
    if not text.strip():
        return "lift" if lift else "keep"
    if lift:
        raise InputError("a budget cannot be given and lifted at once")
    return to_pico(amount(text, "budget"))


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
