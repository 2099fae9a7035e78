"""Describes our rows to OpenAPI: the models of answers are derived from the rows themselves."""

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model


class Document(BaseModel):
    """An object of an answer; read from the attributes of a row."""

    model_config = ConfigDict(from_attributes=True, protected_namespaces=())


@cache
def document_of(row: type) -> type[Document]:
    """Return the model of a NamedTuple, its properties included, or of a dataclass.

    Rows within it become models too.
    """
    members: dict[str, Any] = {name: (shown(kind), ...) for name, kind in _members(row)}
    model: type[Document] = create_model(row.__name__, __base__=Document, **members)
    model.__doc__ = (row.__doc__ or "").partition("\n")[0]
    return model


def _members(row: type) -> Iterator[tuple[str, Any]]:
    yield from get_type_hints(row).items()
    if not is_dataclass(row):
        for name, member in vars(row).items():
            if isinstance(member, property) and not name.startswith("_"):
                yield name, get_type_hints(member.fget)["return"]


def shown(kind: Any) -> Any:  # noqa: ANN401 - annotations
    """Return an annotation with models in the place of rows."""
    if isinstance(kind, type) and (hasattr(kind, "_fields") or is_dataclass(kind)):
        return document_of(kind)
    origin, parts = get_origin(kind), get_args(kind)
    if origin in {Union, types.UnionType}:
        return Union[tuple(map(shown, parts))]  # noqa: UP007 - of parts known only now
    if origin in {list, tuple, dict, Sequence, Mapping}:
        return origin[tuple(part if part is Ellipsis else shown(part) for part in parts)]
    return kind
