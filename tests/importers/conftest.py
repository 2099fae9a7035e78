"""Writes what other systems would have written: dumps as D1 does, exports as Convex does."""

import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.arena import Sandbox
from grabient_ops.importers.values import ImportedAnswer, Record
from grabient_ops.palettes.invented import invented_seeds

SEEDS = invented_seeds(6)
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
Value = int | float | str | bytes | None


def answers(records: Iterable[Record]) -> list[ImportedAnswer]:
    """The answers among what an importer yields."""
    return [item for item in records if isinstance(item, ImportedAnswer)]


def literal(value: Value) -> str:
    """A cell as `wrangler d1 export` writes it."""
    match value:
        case None:
            return "NULL"
        case bytes():
            return f"X'{value.hex()}'"
        case str():
            return _text(value)
        case _:
            return repr(value)


def _text(value: str) -> str:
    written = "'" + value.replace("'", "''") + "'"
    for character, mark in (("\r", "\\r"), ("\n", "\\n")):
        if character in value:
            escaped = written.replace(character, mark)
            written = f"replace({escaped},'{mark}',char({ord(character)}))"
    return written


def quoted(name: str) -> str:
    """A name in double quotes."""
    return '"' + name.replace('"', '""') + '"'


class D1:
    """A dump in the making."""

    def __init__(self) -> None:
        self._parts = ["PRAGMA defer_foreign_keys=TRUE;"]

    def sql(self, text: str) -> "D1":
        """Add statements as they are."""
        self._parts.append(text)
        return self

    def table(self, name: str, columns: Sequence[str], *rows: Iterable[Value]) -> "D1":
        """Add a table and its rows."""
        listed = ",\n  ".join(map(quoted, columns))
        self._parts.append(f"CREATE TABLE {quoted(name)} (\n  {listed}\n);")
        return self.rows(name, *rows)

    def rows(self, name: str, *rows: Iterable[Value]) -> "D1":
        """Add rows only."""
        for row in rows:
            self._parts.append(f"INSERT INTO {quoted(name)} VALUES({','.join(map(literal, row))});")
        return self

    def bytes(self) -> bytes:
        """The dump, without an end of line, as D1 leaves it."""
        return "\n".join(self._parts).encode()

    def write(self, path: Path) -> Path:
        """Write it to a file."""
        path.write_bytes(self.bytes())
        return path


USERS = ("id", "email", "created_at", "username", "name", "role")
LIKES = ("user_id", "palette_id", "steps", "style", "angle", "created_at")
PALETTES = ("id", "style", "steps", "angle", "created_at")
TAGS = (
    "id", "seed", "provider", "model", "run_number", "tags", "error", "created_at",
    "prompt_version",
)  # fmt: skip
REFINEMENTS = (
    "id", "seed", "model", "prompt_version", "source_prompt_version", "input_summary",
    "refined_tags", "analysis", "error", "created_at",
)  # fmt: skip
FULL = {
    "mood": ["calm", "凉"], "style": ["art déco"], "dominant_colors": ["navy"],
    "harmony": ["analogous"], "temperature": "cool", "contrast": "low", "brightness": "light",
    "saturation": "muted", "seasonal": [], "associations": ["🎨 sea"],
}  # fmt: skip


def site(*answers: Sequence[Value]) -> D1:
    """The site in December 2025: an admin likes three of six palettes, a user two."""
    d1 = D1()
    d1.table("d1_migrations", ("id", "name"), (1, "0013_unique.sql"))
    d1.table("auth_user", USERS, ("u1", "ada@example.com", 1, "ada", "Ada\nO'Hara", "admin"),
             ("u2", "Bob@example.com", 1, "bob", "", "user"))  # fmt: skip
    likes = [("u1", SEEDS[0]), ("u1", SEEDS[1]), ("u2", SEEDS[1]), ("u1", SEEDS[2])]
    likes.append(("u2", SEEDS[3]))
    d1.table("likes", LIKES, *((user, seed, 7, "linearSwatches", 90, 5) for user, seed in likes))
    palettes = ((seed, "linearSwatches", 7, 90, 1764979200000 + n) for n, seed in enumerate(SEEDS))
    d1.table("palettes", PALETTES, *palettes)
    d1.table("palette_tags", TAGS, *answers)
    return d1


def tag_row(number: int, **cells: Value) -> tuple[Value, ...]:
    """A row of `palette_tags`."""
    row: dict[str, Value] = {
        "id": f"pt{number}", "seed": SEEDS[0], "provider": "openai", "model": "gpt-4o-mini",
        "run_number": number, "tags": json.dumps(FULL), "error": None,
        "created_at": 1764979200000 + number, "prompt_version": "23862efd2386",
    }  # fmt: skip
    return tuple((row | cells).values())


def convex_id(table: int, number: int) -> str:
    """An id as Convex makes them."""
    prefix = bytearray()
    while table >= 0x80:
        prefix.append(table & 0x7F | 0x80)
        table >>= 7
    body = bytes(prefix) + bytes([table]) + number.to_bytes(16, "big")
    low = high = 0
    for byte in body:
        low, high = (low + byte) % 256, (high + low + byte) % 256
    bits = int.from_bytes(body + bytes((low, high)), "big")
    count = -(-(len(body) + 2) * 8 // 5)
    bits <<= count * 5 - (len(body) + 2) * 8
    return "".join(_ALPHABET[bits >> (5 * place) & 31] for place in reversed(range(count)))


Documents = Mapping[str, Sequence[dict[str, Any]]]


class Convex:
    """An export in the making; documents get their ids and times by themselves."""

    def __init__(self, documents: Documents, *, uniform: bool = False) -> None:
        self.numbers = {table: 10_001 + place for place, table in enumerate(documents)}
        self.files: dict[str, str | bytes] = {"README.md": "# Welcome"}
        self.files["_tables/documents.jsonl"] = _lines(
            {"name": table, "id": number} for table, number in self.numbers.items()
        )
        for table, rows in documents.items():
            self.files[f"{table}/documents.jsonl"] = _lines(
                self.document(table, place, row) for place, row in enumerate(rows)
            )
            shape = json.dumps('{"_id": id<10001>, "seed": string, "n": normalfloat64}')
            self.files[f"{table}/generated_schema.jsonl"] = '"uniform"\n' if uniform else shape

    def document(self, table: str, place: int, row: dict[str, Any]) -> dict[str, Any]:
        """A document with what Convex adds."""
        made = {"_creationTime": 1764979200000.25 + place, "_id": self.id(table, place)}
        return {**made, **row}

    def id(self, table: str, place: int) -> str:
        """The id of a document."""
        return convex_id(self.numbers[table], 1 << 64 | place)

    def bytes(self, prefix: str = "") -> bytes:
        """The ZIP."""
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self.files.items():
                archive.writestr(prefix + name, content)
        return file.getvalue()

    def write(self, path: Path, prefix: str = "") -> Path:
        """Write it to a file."""
        path.write_bytes(self.bytes(prefix))
        return path


def _lines(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(
        json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n"
        for row in rows
    )


def convex_documents() -> dict[str, list[dict[str, Any]]]:
    """What the first system held in Convex, in small."""
    answer = {
        "seed": SEEDS[0], "provider": "openai", "model": "gpt-4o-mini", "analysisIndex": 0.0,
        "promptVersion": "23862efd2386", "tags": FULL,
        "usage": {"inputTokens": 812.0, "outputTokens": 151.0},
    }  # fmt: skip
    failed = {**answer, "analysisIndex": 1.0, "tags": None, "error": "Parse error: position 400"}
    failed.pop("usage")
    older = {**answer, "seed": SEEDS[1], "provider": "groq-gpt-oss-20b", "model": "gpt-oss-20b"}
    older = {**older, "runNumber": 3.0, "promptVersion": "unknown"}
    older.pop("analysisIndex")
    refined = {
        "seed": SEEDS[0], "model": "claude-opus-4-5-20251101", "cycle": 1.0, "tags": FULL,
        "promptVersion": "aaaabbbbaaaa", "sourcePromptVersions": ["23862efd2386"],
        "embedText": "cool low light", "usage": {"inputTokens": 1250.0, "outputTokens": 450.0},
    }  # fmt: skip
    batch = {"provider": "google", "model": "gemini-2.0-flash", "batchId": "batches/abc",
             "status": "completed", "cycle": 1.0}  # fmt: skip
    prompt = {"version": "23862efd2386", "type": "tagging", "content": "Analyse…", "message": "v4"}
    return {
        "palettes": [{"seed": seed, "imageUrl": f"https://cdn.example/{seed}"} for seed in SEEDS],
        "palette_tags": [answer, failed, older],
        "tag_batches": [batch],
        "palette_tag_refined": [refined],
        "prompt_versions": [prompt],
        "palette_tag_consensus": [{"seed": SEEDS[0], "totalModels": 2.0}],
    }


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """Where a dump may be written."""
    return tmp_path / "dump.sql"


class Deployment:
    """A running Convex, played by a sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.url = sandbox.url

    def commit(self, *steps: dict[str, Any]) -> list[str]:
        """Do steps in one transaction; return the ids of their documents."""
        ids: list[str] = self._call({"transaction": steps})["ids"]
        return ids

    def fill(self, documents: Documents) -> None:
        """Insert documents, each in a transaction of its own."""
        for table, rows in documents.items():
            for row in rows:
                self.commit(insert(table, row))

    def set(self, **values: int) -> None:
        """Change the sizes of pages, or what it knows."""
        self._call({"set": values})

    def expire(self) -> None:
        """Make every cursor that was given out so far good for nothing."""
        self._call({"expire": True})

    def documents(self, table: str) -> list[dict[str, Any]]:
        """Return what it holds."""
        found: list[dict[str, Any]] = self._call(None)["documents"].get(table, [])
        return found

    def _call(self, content: object) -> dict[str, Any]:
        return self._sandbox.call("/sandbox/convex", content)


def insert(table: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """A step of a transaction."""
    return {"insert": table, "document": document}


def patch(document_id: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
    """A step of a transaction."""
    return {"patch": document_id, "document": fields}
