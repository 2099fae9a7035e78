"""Which columns a table has, by its definition, or by what the site is known to have had."""

import re
from collections.abc import Iterator, Mapping

from grabient_ops.importers.d1.literals import NAME, STRING, read_name

_TOKEN = re.compile(
    rb"--[^\n]*+|/\*(?:[^*]++|\*(?!/))*+\*/|" + STRING + rb"|" + NAME + rb"|\w++|[(),]"
)
_NAME = re.compile(NAME)
_CONSTRAINTS = frozenset({b"CONSTRAINT", b"PRIMARY", b"UNIQUE", b"CHECK", b"FOREIGN"})

_LIKE = ("user_id", "palette_id", "steps", "style", "angle", "created_at")
_TAGS = ("id", "seed", "provider", "model", "run_number", "tags", "error", "created_at")
_USER = ("id", "email", "email_verified", "image", "created_at", "updated_at", "username", "name")
_KNOWN: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "palettes": (("id", "style", "steps", "angle", "created_at"),),
    "likes": (_LIKE, (*_LIKE, "coeff_key")),
    "palette_tags": (_TAGS, (*_TAGS, "prompt_version")),
    "palette_tag_refinements": (
        (
            "id", "seed", "model", "prompt_version", "source_prompt_version", "input_summary",
            "refined_tags", "analysis", "error", "created_at",
        ),
    ),
    "auth_user": ((*_USER, "role"),),
}  # fmt: skip
"""Columns in the order in which the site's tables got them, for dumps without a schema."""


def columns_in(definition: bytes) -> tuple[str, ...]:
    """Return the columns that an INSERT without names fills, in order.

    Generated columns are not among them.

    Args:
        definition: what follows the table's name in CREATE TABLE.
    """
    names = []
    for part in _parts(definition):
        if not part or part[0].upper() in _CONSTRAINTS or not _NAME.fullmatch(part[0]):
            continue
        if not any(word.upper() == b"AS" for word in part[1:]):
            names.append(read_name(part[0]))
    return tuple(names)


def names_in(columns: bytes) -> tuple[str, ...]:
    """Return the names that an INSERT gives, in parentheses."""
    return tuple(read_name(name) for name in _NAME.findall(columns))


def known_columns(table: str, count: int) -> tuple[str, ...] | None:
    """Return the columns that a table of the site has had when it had so many; None if unknown."""
    return next((names for names in _KNOWN.get(table, ()) if len(names) == count), None)


def _parts(definition: bytes) -> Iterator[list[bytes]]:
    """Yield the outermost words of each definition between two outermost commas."""
    depth = 0
    part: list[bytes] = []
    for token in _TOKEN.findall(definition):
        if token.startswith((b"--", b"/*")):
            continue
        depth += (token == b"(") - (token == b")")
        if token == b"," and depth == 1:
            yield part
            part = []
        elif depth == 1 and token not in b"()":
            part.append(token)
        elif depth == 0:
            break
    yield part
