import json
import time
import tracemalloc
import zipfile
from base64 import b64encode
from pathlib import Path
from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grabient_ops.errors import InputError
from grabient_ops.importers.convex import archive
from grabient_ops.importers.convex.export import read_export
from grabient_ops.importers.convex.ids import table_number
from grabient_ops.importers.values import (
    ImportedAnswer,
    ImportedBatch,
    ImportedPalette,
    ImportedPrompt,
    Passed,
    Progressed,
    Record,
    Refused,
)
from grabient_ops.tagging.outcome import ErrorClass
from tests.importers.conftest import FULL, SEEDS, Convex, answers, convex_documents, convex_id


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "snapshot_1.zip"


def read(export: Convex, path: Path, prefix: str = "") -> list[Record]:
    records = read_export(export.write(path, prefix))
    return [item for item in records if not isinstance(item, Progressed)]


def answer(path: Path, **fields: object) -> ImportedAnswer | Refused:
    document = {**convex_documents()["palette_tags"][0], **fields}
    found = read(Convex({"palette_tags": [document]}), path)
    (item,) = [item for item in found if isinstance(item, ImportedAnswer | Refused)]
    return item


def test_everything_that_is_ours_is_read(path: Path) -> None:
    records = read(Convex(convex_documents()), path)

    first, failed, older, refined = answers(records)
    assert (first.run_number, first.tags, first.prompt_version) == (1, FULL, "23862efd2386")
    assert (first.usage.input_tokens, first.usage.output_tokens) == (812, 151)
    assert json.loads(first.response or "") == FULL
    assert (failed.run_number, failed.tags, failed.error_class) == (2, None, ErrorClass.UNPARSABLE)
    assert failed.error == "Parse error: position 400"
    assert (older.provider, older.model) == ("groq", "openai/gpt-oss-20b")
    assert (older.run_number, older.prompt_version) == (3, "unknown")
    assert (refined.provider, refined.run_number) == ("anthropic", 1)
    assert refined.refinement is not None
    assert refined.refinement.embed_text == "cool low light"
    assert refined.refinement.source_prompt_versions == ["23862efd2386"]
    (prompt,) = [item for item in records if isinstance(item, ImportedPrompt)]
    assert (prompt.version, prompt.kind, prompt.content, prompt.message) == (
        "23862efd2386", "tagging", "Analyse…", "v4",
    )  # fmt: skip
    (batch,) = [item for item in records if isinstance(item, ImportedBatch)]
    assert batch.document["batchId"] == "batches/abc"


def test_palettes_keep_what_is_said_beside_the_seed(path: Path) -> None:
    export = Convex(convex_documents())
    found = [item for item in read(export, path) if isinstance(item, ImportedPalette)]

    assert [item.palette.seed for item in found] == SEEDS
    assert found[1].attributes == {
        "_id": export.id("palettes", 1), "imageUrl": f"https://cdn.example/{SEEDS[1]}",
    }  # fmt: skip
    assert found[1].created_at is not None
    assert found[1].created_at.timestamp() == pytest.approx(1764979201.00025 - 0.999)


def test_both_formats_give_the_same(path: Path) -> None:
    documents = convex_documents()

    older = read(Convex(documents), path)
    newer = read(Convex(documents, uniform=True), path)

    assert older == newer


@pytest.mark.parametrize("prefix", ["snapshot/", "a/b c/"])
def test_a_folder_in_front_of_everything_changes_nothing(prefix: str, path: Path) -> None:
    export = Convex(convex_documents())
    plain = read(export, path)
    export.files["__MACOSX/._README.md"] = b"\0"
    export.files[".DS_Store"] = b"\0"

    assert read(export, path, prefix) == plain


def test_what_is_not_ours_is_counted(path: Path) -> None:
    export = Convex({**convex_documents(), "stats_cache": [{}, {}], "empty_table": []})
    export.files["_components/r2/_tables/documents.jsonl"] = "{}\n"
    export.files["_components/r2/metadata/documents.jsonl"] = "{}\n{}\n"
    export.files["_components/r2/_components/deep/x/documents.jsonl"] = "{}\n"
    export.files["_storage/documents.jsonl"] = "{}\n"
    export.files["_storage/kg2.png"] = b"PNG"
    export.files["../../etc/passwd"] = "x"
    export.files["/absolute"] = "x"

    passed = {item.what: item.rows for item in read(export, path) if isinstance(item, Passed)}

    assert passed == {
        "palette_tag_consensus": 1, "stats_cache": 2, "empty_table": 0, "_storage": 1,
        "_components": 3, "stored files": 1, "other files": 2,
    }  # fmt: skip


def test_reading_writes_nothing_to_the_disk(path: Path) -> None:
    export = Convex(convex_documents())
    export.files["../evil"] = "x"

    read(export, path)

    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("shape", "word"),
    [
        ('{"seed": string, "runNumber": int64}', "int64"),
        ('{"seed": string, "x": array<bytes | null>}', "bytes"),
        ('{"n": normalfloat64 | NaN}', "NaN"),
        ('{"n": inf}', "inf"),
    ],
)
def test_an_older_table_whose_values_cannot_be_told_is_refused(
    shape: str, word: str, path: Path
) -> None:
    export = Convex(convex_documents())
    export.files["palette_tags/generated_schema.jsonl"] = json.dumps(shape)

    with pytest.raises(InputError, match=f"palette_tags holds {word}, .* export it again"):
        read(export, path)


@pytest.mark.parametrize(
    "shape", ['{"int64": string, "bytes": "inf"}', '{"n": float64 | normalfloat64}', "never"]
)
def test_names_of_fields_are_not_taken_for_such_values(shape: str, path: Path) -> None:
    export = Convex(convex_documents())
    export.files["palette_tags/generated_schema.jsonl"] = json.dumps(shape)

    assert len(answers(read(export, path))) == 4


def test_a_number_that_json_has_no_word_for_is_no_number(path: Path) -> None:
    encoded = {"$float": b64encode(pack("<d", float("nan"))).decode()}

    found = answer(path, usage={"inputTokens": encoded, "outputTokens": 7})

    assert isinstance(found, ImportedAnswer)
    assert (found.usage.input_tokens, found.usage.output_tokens) == (0, 7)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"seed": "groq-batch_123"}, "It holds '_', which no seed does."),
        ({"seed": 7}, "It names no palette."),
        ({"provider": None}, "It names no provider."),
        ({"analysisIndex": None}, "It has neither runNumber nor analysisIndex."),
        ({"analysisIndex": 0.5}, "It has neither runNumber nor analysisIndex."),
        ({"_id": None}, "Its _id is no id of Convex."),
        ({"_id": "k" * 32}, "Its _id is no id of Convex."),
        ({"_id": convex_id(10_777, 5)}, "Its _id belongs to another table."),
    ],
)
def test_a_document_that_cannot_be_taken_is_refused_with_its_reason(
    fields: dict[str, Any], reason: str, path: Path
) -> None:
    found = answer(path, **fields)

    assert isinstance(found, Refused)
    assert (found.place.line, found.reason) == (1, reason)


@given(st.integers(1, 1 << 28), st.integers(0, (1 << 128) - 1))
def test_an_id_tells_its_table(table: int, number: int) -> None:
    assert table_number(convex_id(table, number)) == table


@given(st.integers(0, 31), st.sampled_from("0123456789abcdefghjkmnpqrstvwxyz"))
def test_an_id_with_one_wrong_letter_is_none(place: int, letter: str) -> None:
    whole = convex_id(10_001, 1 << 100 | 12345)
    wrong = whole[:place] + letter + whole[place + 1 :]

    assert wrong == whole or table_number(wrong) is None


@given(st.text(max_size=40) | st.none() | st.integers())
def test_whatever_else_is_no_id(text: object) -> None:
    assert table_number(text) is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "The line is no JSON, or is nested too deep."),
        ("[" * 100_000, "The line is no JSON, or is nested too deep."),
        ('["list"]', "The line is no object."),
        ('{"seed": "\\ud800"}', "The line is no JSON, or is nested too deep."),
    ],
)
def test_a_line_that_is_no_document_is_refused_and_the_next_is_read(
    line: str, reason: str, path: Path
) -> None:
    export = Convex(convex_documents())
    file = "palette_tags/documents.jsonl"
    export.files[file] = f"{line}\n\n{export.files[file]!s}"

    records = read(export, path)

    assert [(item.place.line, item.reason) for item in records if isinstance(item, Refused)] == [
        (1, reason)
    ]
    assert len(answers(records)) == 4


def test_a_document_that_is_nested_deeper_than_we_can_write_is_refused(path: Path) -> None:
    deep: dict[str, Any] = {}
    for _ in range(300):
        deep = {"a": deep}

    found = answer(path, more=deep)

    assert isinstance(found, Refused)
    assert found.reason == "The document is nested too deep."


def test_a_line_of_ten_megabytes_costs_bounded_memory_and_only_itself(path: Path) -> None:
    export = Convex(convex_documents())
    file = "palette_tags/documents.jsonl"
    export.files[file] = f'{{"x":"{"x" * 24_000_000}"}}\n{export.files[file]!s}'
    export.write(path)
    export.files.clear()

    tracemalloc.start()
    records = list(read_export(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [item.reason for item in records if isinstance(item, Refused)] == [
        "The line is longer than 8 MiB."
    ]
    assert len(answers(records)) == 4
    assert peak < 4 * archive.LONGEST_LINE


def test_ten_thousand_tags_of_one_answer_count(path: Path) -> None:
    many = [f"tag {number}" for number in range(10_000)]

    found = answer(path, tags={**FULL, "mood": many})

    assert isinstance(found, ImportedAnswer)
    assert found.tags is not None
    assert found.tags["mood"] == many


def test_tags_that_are_longer_than_any_answer_are_kept_and_do_not_count(path: Path) -> None:
    many = [f"tag {number}" for number in range(100_000)]

    found = answer(path, tags={**FULL, "mood": many})

    assert isinstance(found, ImportedAnswer)
    assert found.error_class is ErrorClass.UNPARSABLE
    assert json.loads(found.response or "")["mood"] == many


def test_a_zip_bomb_is_refused_before_it_is_unpacked(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("_tables/documents.jsonl", '{"name":"palettes","id":10001}\n')
        with made.open("palettes/documents.jsonl", "w", force_zip64=True) as file:
            for _ in range(300):
                file.write(bytes(1 << 20))

    started = time.process_time()
    with pytest.raises(InputError, match=r"would unpack to .* times its size; no export does"):
        list(read_export(path))
    assert time.process_time() - started < 1


def test_too_many_files_are_refused_before_their_list_is_read(path: Path) -> None:
    end = b"PK\5\6" + b"\0" * 4 + b"\xff\xff" * 2 + b"\0" * 8 + b"\0\0"
    path.write_bytes(b"PK\3\4" + b"\0" * 1000 + end)

    with pytest.raises(InputError, match="too many files; export without --include-file-storage"):
        list(read_export(path))


@pytest.mark.parametrize("content", [b"", b"PK", b"GIF89a" * 100, b"PK\5\6" + b"\0" * 18])
def test_what_is_no_export_is_refused_with_a_sentence(content: bytes, path: Path) -> None:
    path.write_bytes(content)

    with pytest.raises(InputError, match=r"snapshot_1\.zip is no "):
        list(read_export(path))


def test_an_export_of_something_else_is_refused_with_a_sentence(path: Path) -> None:
    with pytest.raises(InputError, match="holds no table of the first system"):
        read(Convex({"users": [{}]}), path)


def test_a_file_that_is_damaged_inside_is_refused_with_its_name(path: Path) -> None:
    content = bytearray(Convex(convex_documents()).bytes())
    at = content.index(b"palette_tags/documents.jsonl") + 60
    content[at : at + 20] = b"\xff" * 20
    path.write_bytes(content)

    with pytest.raises(InputError, match=r"palette_tags/documents\.jsonl is damaged"):
        list(read_export(path))


def test_a_truncated_export_is_refused(path: Path) -> None:
    path.write_bytes(Convex(convex_documents()).bytes()[:-200])

    with pytest.raises(InputError, match="is no ZIP"):
        list(read_export(path))


def test_a_missing_file_is_refused_with_its_name(path: Path) -> None:
    with pytest.raises(InputError, match=r"snapshot_1\.zip: No such file"):
        list(read_export(path))


def test_an_encrypted_export_is_refused(path: Path) -> None:
    content = bytearray(Convex(convex_documents()).bytes())
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = -1
        while (at := content.find(mark, at + 1)) >= 0:
            content[at + offset] |= 1
    path.write_bytes(content)

    with pytest.raises(InputError, match="snapshot_1"):
        list(read_export(path))


@pytest.mark.parametrize("kind", ["", None, ["tagging"], {"tagging": 1}])
def test_a_prompt_of_neither_stage_is_refused(tmp_path: Path, kind: object) -> None:
    documents = convex_documents()
    documents["prompt_versions"][0]["type"] = kind
    records = read(Convex(documents), tmp_path / "export.zip")

    assert [item.reason for item in records if isinstance(item, Refused)] == [
        "The prompt is neither for tagging nor for refinement."
    ]
