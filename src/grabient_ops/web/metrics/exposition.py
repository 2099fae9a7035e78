"""Writes figures as Prometheus reads them (text format 0.0.4)."""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "grabient_ops_"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Sample(NamedTuple):
    """One figure.

    Attributes:
        labels: name -> value.
        suffix: what stands behind the family's name, such as `_bucket`.
    """

    value: float
    labels: Mapping[str, str] = {}
    suffix: str = ""


class Family(NamedTuple):
    """Figures of one kind; `help` is one line."""

    name: str
    type: Literal["gauge", "counter", "histogram"]
    help: str
    samples: Iterable[Sample]


def write(families: Iterable[Family]) -> str:
    """Return the text of some families."""
    lines = []
    for family in families:
        name = PREFIX + family.name
        lines += [f"# HELP {name} {family.help}", f"# TYPE {name} {family.type}"]
        lines += [f"{name}{s.suffix}{_labels(s.labels)} {s.value:.17g}" for s in family.samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    pairs = (f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}"
