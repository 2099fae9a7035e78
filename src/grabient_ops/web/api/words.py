"""The words that requests are made of, with their bounds; OpenAPI shows these."""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from fastapi import Path, Query
from pydantic import AfterValidator, Field, StringConstraints

from grabient_ops.analytics.questions.asking import Selection
from grabient_ops.tagging.vocabulary import FIELDS

_MOST = 1000

Text: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=200)]
"""A short text; PostgreSQL knows no NUL."""
LongText: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[^\x00]*$", min_length=1, max_length=200_000)
]
Number: TypeAlias = Annotated[int, Field(ge=0, le=2**53)]
Usd: TypeAlias = Annotated[float, Field(ge=0, le=9_000_000, allow_inf_nan=False)]
Count: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000)]
Runs: TypeAlias = Annotated[int, Field(ge=1, le=1000)]
ProviderWord: TypeAlias = Literal["openai", "anthropic", "google", "groq"]
SourceWord: TypeAlias = Literal["own", "d1", "convex"]

Limit: TypeAlias = Annotated[int, Query(ge=1, le=_MOST, description="How many at most.")]
After: TypeAlias = Annotated[Number, Query(description="Begin after this id.")]
Id: TypeAlias = Annotated[Text, Path(description="An id, or its beginning if that is enough.")]
Seed: TypeAlias = Annotated[Text, Path(description="Seed of a palette.")]


def _known_category(word: str) -> str:
    if word not in FIELDS:
        raise ValueError(f"it is none of {', '.join(FIELDS)}")
    return word


Category: TypeAlias = Annotated[
    Text,
    AfterValidator(_known_category),
    Query(description="Only this category.", json_schema_extra={"enum": [*FIELDS]}),
]


def selection(
    prompt: Annotated[
        Sequence[Text], Query(max_length=20, description="Only these prompt versions.")
    ] = (),
    model: Annotated[Sequence[Text], Query(max_length=100, description="Only these models.")] = (),
    run: Annotated[Sequence[Number], Query(max_length=100, description="Only these runs.")] = (),
    source: Annotated[
        Sequence[SourceWord], Query(max_length=3, description="Only what came from here.")
    ] = (),
) -> Selection:
    """Return which answers a question is about."""
    return Selection(prompt, model, run, source)
