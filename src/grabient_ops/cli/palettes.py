"""`grabient-ops palettes`."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from grabient_ops.cli.common import MOST, Json, console, open_app, print_json, print_line, warn
from grabient_ops.cli.legible import legible
from grabient_ops.errors import InputError

if TYPE_CHECKING:
    from rich.text import Text

    from grabient_ops.app import App
    from grabient_ops.importers.plain import Found, Refused
    from grabient_ops.palettes.describe import Description

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Bring palettes in, and look at them."
)
Seeds = Annotated[
    list[str], typer.Argument(metavar="SEED...", help="Seeds; `-` reads them from stdin.")
]

_ROWS_PER_TRANSACTION = 1000
_LISTED_REFUSALS = 1000
_SHOWN_REFUSALS = 20
_SHOWN_PALETTES = 50
_LONG_FILE_BYTES = 1 << 20


@app.command("import")
def import_(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Lines, CSV or JSONL; `-` is stdin.")
    ],
    as_json: Json = False,
) -> None:
    """Import palettes: one seed per line, a CSV column `seed`, or JSON lines with "seed"."""
    report = _Report(open_app())
    for name in files:
        try:
            with _opened(name) as file:
                report.read(file, name)
        except (InputError, OSError) as error:
            report.skip(name, error)
    if as_json:
        print_json(report.to_json())
    else:
        report.print()
    if not report.valid_count:
        raise InputError(report.failure())


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """Open a file, or stdin; a long file shows its progress on a terminal."""
    if name == "-":
        yield sys.stdin.buffer
        return
    path = Path(name)
    if sys.stderr.isatty() and path.stat().st_size > _LONG_FILE_BYTES and not path.is_dir():
        from rich.progress import open as open_with_progress

        with open_with_progress(
            path, "rb", description=path.name, console=console(stderr=True)
        ) as shown:
            yield shown
        return
    with path.open("rb") as file:
        yield file


class _Report:
    """Stores what files hold and counts what became of it."""

    def __init__(self, app: "App") -> None:
        self._app = app
        self._read = 0
        self._imported = 0
        self._refused_count = 0
        self._refused: list[dict[str, Any]] = []
        self._unreadable: list[dict[str, str]] = []
        self.valid_count = 0

    def read(self, file: BinaryIO, name: str) -> None:
        """Import one file, so many rows per transaction."""
        from grabient_ops.importers.plain import Found, read_palettes

        rows = read_palettes(file, name)
        while chunk := list(islice(rows, _ROWS_PER_TRANSACTION)):
            self._read += len(chunk)
            found = [row for row in chunk if isinstance(row, Found)]
            self._store(found, "stdin" if name == "-" else Path(name).name)
            for row in chunk:
                if not isinstance(row, Found):
                    self._refuse(row, name)

    def skip(self, name: str, error: Exception) -> None:
        """Note a file that cannot be read; the others go on."""
        text = f"{name}: {error.strerror}" if isinstance(error, OSError) else str(error)
        self._unreadable.append({"file": name, "reason": legible(text)})

    def failure(self) -> str:
        """Return why nothing came of it all."""
        reasons = [file["reason"] for file in self._unreadable]
        if self._read:
            reasons.append(f"{self._read:,} rows read, none holds a valid seed")
        return "; ".join(reasons) or "there are no rows"

    def _store(self, found: "Sequence[Found]", source: str) -> None:
        from grabient_ops.palettes.seed import coeff_key
        from grabient_ops.store.palettes import NewPalette, add_palettes

        rows = [
            NewPalette(row.palette.seed, row.palette.format, coeff_key(row.palette), source)
            for row in found
        ]
        self.valid_count += len(rows)
        with self._app.store.write() as connection:
            self._imported += add_palettes(connection, rows, self._app.services.now())

    def _refuse(self, row: "Refused", name: str) -> None:
        self._refused_count += 1
        if len(self._refused) == _LISTED_REFUSALS:
            return
        refusal = {"file": name, "line": row.line, "seed": row.seed, "reason": row.reason}
        if row.suggestion is not None:
            refusal["suggestion"] = row.suggestion
        self._refused.append(refusal)

    def to_json(self) -> dict[str, Any]:
        """Return the document of `--json`; read = imported + already_there + refused rows."""
        return {
            "read": self._read,
            "imported": self._imported,
            "already_there": self.valid_count - self._imported,
            "refused": self._refused,
            "refused_unlisted": self._refused_count - len(self._refused),
            "unreadable": self._unreadable,
        }

    def print(self) -> None:
        """Print the counts, and what was refused on stderr."""
        for file in self._unreadable if self.valid_count else ():
            warn(f"passed over {file['reason']}")
        for refusal in self._refused[:_SHOWN_REFUSALS]:
            place = f"{refusal['file']}:{refusal['line']}"
            advice = f" Did you mean {refusal['suggestion']}?" if "suggestion" in refusal else ""
            warn(legible(f"{place}: {refusal['seed']!r}: {refusal['reason']}{advice}"))
        if self._refused_count > _SHOWN_REFUSALS:
            warn(f"... and {self._refused_count - _SHOWN_REFUSALS:,} more; --json lists them")
        print_line(
            f"{self._read:,} read: {self._imported:,} imported, "
            f"{self.valid_count - self._imported:,} already there, {self._refused_count:,} refused"
        )


@app.command("list")
def list_(
    limit: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="How many; default: 50, with --json all.")
    ] = None,
    after: Annotated[str, typer.Option(metavar="SEED", help="Begin after this seed.")] = "",
    as_json: Json = False,
) -> None:
    """List stored palettes in the order of their seeds."""
    from grabient_ops.store.palettes import count_palettes, list_palettes

    if limit is None and not as_json:
        limit = _SHOWN_PALETTES
    store = open_app().store
    with store.read() as connection:
        found = list_palettes(connection, limit, _clean(after))
        total = count_palettes(connection)
    if as_json:
        print_json([palette._asdict() for palette in found])
        return
    for palette in found:
        print_line(f"{palette.seed}  {palette.source}  {palette.created_at:%Y-%m-%d}")
    warn(f"{len(found):,} of {total:,} palettes")


@app.command()
def show(seeds: Seeds, as_json: Json = False) -> None:
    """Show what palettes look like, stored or not: colours, numbers, facts."""
    from grabient_ops.palettes.describe import describe

    described = describe(list(_all_seeds(seeds)))
    if as_json:
        print_json([description.to_json() for description in described])
        return
    for description in described:
        for line in _drawn(description):
            console().print(line, soft_wrap=True)


@app.command()
def remove(seeds: Seeds, as_json: Json = False) -> None:
    """Remove palettes; answers that were paid for stay in the store."""
    from grabient_ops.store.palettes import known_seeds, remove_palettes

    wanted = dict.fromkeys(_all_seeds(seeds))
    services = open_app().services
    with services.store.write() as connection:
        known = known_seeds(connection, wanted)
        removed = remove_palettes(connection, sorted(known), services.now())
    unknown = [seed for seed in wanted if seed not in known]
    if as_json:
        print_json({"removed": removed, "unknown": unknown})
    else:
        print_line(f"{removed:,} removed, {len(unknown):,} were not stored")
    if not removed:
        raise InputError("none of these palettes is stored")


def _all_seeds(words: Iterable[str]) -> Iterator[str]:
    for word in words:
        if word == "-":
            lines = (line.decode(errors="replace").strip() for line in sys.stdin.buffer)
            yield from filter(None, lines)
        else:
            yield _clean(word)


def _clean(word: str) -> str:
    """Arguments that are not UTF-8 hold characters that can be neither stored nor printed."""
    return word.encode(errors="surrogateescape").decode(errors="replace")


def _drawn(description: "Description") -> "Iterator[Text]":
    from rich.text import Text

    seed = legible(description.seed, 200)
    palette, looks = description.palette, description.looks
    if palette is None or looks is None:
        yield Text(f"{seed}\n  invalid: {description.reason}\n")
        return
    yield Text(f"{seed}  ({palette.format})")
    yield Text.assemble("  ", *((" " * 8, f"on {code}") for code in looks.hex))
    yield Text("  " + "".join(f"{code:8}" for code in looks.hex))
    facts = looks.facts
    yield Text(
        f"  {facts.temperature}, {facts.contrast} contrast, {facts.brightness}, "
        f"{facts.saturation}; harmony: {', '.join(facts.harmony) or 'none'}"
    )
    yield Text(f"  {', '.join(looks.color_names)}; mostly {', '.join(facts.dominant_colors)}")
    for name, row in zip("abcd", palette.coeffs, strict=True):
        yield Text(f"  {name} " + "".join(f"{value:9.3f}" for value in row))
    yield Text("  globals " + " ".join(f"{value:g}" for value in palette.globals) + "\n")
