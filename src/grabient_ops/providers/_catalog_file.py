"""The catalog's TOML: defaults filled in, the operator's file laid over ours; values unchecked."""

import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from grabient_ops.errors import ConfigError

Table = dict[str, Any]


def read_tables(overlay: Path | None) -> Iterator[tuple[str, Table]]:
    """Yield (name for messages, complete table) of every model, packaged ones first.

    Raises:
        ConfigError: a file cannot be read, is not TOML, or is not made of `[defaults.<provider>]`
            and `[[models]]` with a provider and an id each.
    """
    defaults, models = _read(
        "catalog.toml", files(__package__).joinpath("catalog.toml").read_bytes()
    )
    origin = dict.fromkeys(models, "catalog.toml")
    if overlay is not None and overlay.is_file():
        their_defaults, their_models = _read(overlay.name, overlay.read_bytes())
        for provider, table in their_defaults.items():
            defaults[provider] = {**defaults.get(provider, {}), **table}
        for key, table in their_models.items():
            models[key] = _laid_over(models.get(key, {}), table)
            origin[key] = overlay.name
    for (provider, model_id), table in models.items():
        complete = _laid_over(defaults.get(provider, {}), table)
        yield f"{origin[provider, model_id]}: {provider}/{model_id}", _finished(complete)


def _read(name: str, content: bytes) -> tuple[dict[str, Table], dict[tuple[str, str], Table]]:
    try:
        document = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{name} is not TOML: {error}") from error
    defaults, models = document.pop("defaults", {}), document.pop("models", [])
    if document:
        raise ConfigError(f"{name}: {next(iter(document))} is neither `defaults` nor `models`")
    if not _is_tables(defaults.values() if isinstance(defaults, dict) else [defaults]):
        raise ConfigError(f"{name}: write defaults as [defaults.<provider>]")
    if not _is_tables(models):
        raise ConfigError(f"{name}: write each model as [[models]]")
    return defaults, {_key(name, number, table): table for number, table in enumerate(models, 1)}


def _is_tables(values: object) -> bool:
    return hasattr(values, "__iter__") and all(isinstance(value, dict) for value in values)


def _key(name: str, number: int, table: Table) -> tuple[str, str]:
    key = table.get("provider"), table.get("id")
    match key:
        case (str(provider), str(model_id)):
            return provider, model_id
        case _:
            raise ConfigError(f"{name}: model number {number} needs a provider and an id")


def _laid_over(below: Table, above: Table) -> Table:
    """One model's table over another: single fields win; so do single prices."""
    merged = {**below, **above}
    if isinstance(below.get("prices"), dict) and isinstance(above.get("prices"), dict):
        merged["prices"] = {**below["prices"], **above["prices"]}
    return merged


def _finished(table: Table) -> Table:
    """Drop what is `false` (TOML knows no null) and date the prices as their model."""
    finished = {key: value for key, value in table.items() if value is not False}
    if isinstance(finished.get("prices"), dict) and "as_of" in finished:
        finished["prices"] = {"as_of": finished["as_of"], **finished["prices"]}
    return finished
