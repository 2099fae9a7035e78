import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from benchmarks.postgres import store_url
from grabient_ops.store.engine import open_store
from grabient_ops.store.tables import imported_batches, metadata, palette_tag_refined, palette_tags
from grabient_ops.store.targets import ModelTarget, list_unanswered, raise_targets
from tests.importers.conftest import FULL, SEEDS, Convex, convex_documents, site, tag_row

if TYPE_CHECKING:
    from tests.cli.conftest import Ops

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def dump(tmp_path: Path) -> str:
    """Three answers, two of them under an unknown prompt, and one row that names no palette."""
    rows = [
        tag_row(1), tag_row(2, prompt_version=None, provider="mistral", model="large"),
        tag_row(3, prompt_version=None, tags=None, error="Parse error"), tag_row(4, seed="bad"),
    ]  # fmt: skip
    return str(site(*rows).write(tmp_path / "dump.sql"))


@pytest.fixture
def export(tmp_path: Path) -> str:
    return str(Convex(convex_documents()).write(tmp_path / "snapshot.zip"))


def _line_of(text: str, path: str) -> int:
    lines = Path(path).read_text().split("\n")
    return next(number for number, line in enumerate(lines, start=1) if text in line)


def rows(home: Path, table: sa.Table) -> list[dict[str, Any]]:
    with open_store(store_url(home)).read() as connection:
        return [dict(row) for row in connection.execute(sa.select(table)).mappings()]


def contents(home: Path) -> dict[str, list[dict[str, Any]]]:
    """Everything but the feed, which says that somebody looked."""
    tables = [table for table in metadata.tables.values() if table.name != "changes"]
    return {table.name: rows(home, table) for table in tables}


def test_a_dump_is_taken_over_and_every_row_is_accounted_for(dump: str, ops: "Ops") -> None:
    ran = ops("import", "d1", dump, "--json")

    report = ran.json()
    assert ran.code == 0
    assert {name: report[name] for name in ("read", "imported", "already_there", "left_out")} == {
        "read": 10, "imported": 6, "already_there": 0, "left_out": 3,
    }  # fmt: skip
    (refused,) = report["refused"]
    assert (refused["count"], refused["examples"][0]["table"]) == (1, "palette_tags")
    assert (refused["examples"][0]["value"], refused["examples"][0]["line"]) == (
        "bad",
        _line_of("'bad'", dump),
    )
    assert report["unknown_models"] == [{"provider": "mistral", "model": "large", "answers": 1}]
    assert {item["what"] for item in report["passed"]} >= {"auth_user", "likes", "d1_migrations"}
    tables = report["tables"].values()
    for count in (*tables, {**report, "refused": 1}):
        parts = ("imported", "updated", "already_there", "left_out", "refused")
        assert count["read"] == sum(count[name] for name in parts)


def test_importing_again_changes_nothing(dump: str, export: str, home: Path, ops: "Ops") -> None:
    ops("import", "d1", dump)
    ops("import", "convex", export)
    before = contents(home)

    again = [ops("import", *words, "--json").json() for words in (("d1", dump), ("convex", export))]

    assert [report["imported"] + report["updated"] for report in again] == [0, 0]
    assert contents(home) == before


def test_a_dry_run_counts_the_same_and_stores_nothing(
    dump: str, export: str, home: Path, ops: "Ops"
) -> None:
    for words in (("d1", dump), ("convex", export)):
        before = contents(home) if home.exists() else {}
        dry = ops("import", *words, "--dry-run", "--json").json()
        if before:
            assert contents(home) == before
        real = ops("import", *words, "--json").json()

        assert dry.pop("dry_run") is True
        assert real.pop("dry_run") is False
        assert dry == real


def test_an_answer_is_stored_with_all_that_is_known_of_it(
    export: str, home: Path, ops: "Ops"
) -> None:
    ops("import", "convex", export)

    first, failed, older = sorted(rows(home, palette_tags), key=lambda row: str(row["source_id"]))
    assert first["tags"] == FULL
    assert json.loads(first["response"]) == FULL
    assert (first["source"], first["input_tokens"], first["cost"]) == ("convex", 812, None)
    assert (failed["error_class"], failed["error"]) == ("unparsable", "Parse error: position 400")
    assert (older["provider"], older["model"], older["run_number"]) == (
        "groq", "openai/gpt-oss-20b", 3,
    )  # fmt: skip
    assert older["source_extra"]["provider"] == "groq-gpt-oss-20b"
    (refined,) = rows(home, palette_tag_refined)
    assert (refined["embed_text"], refined["source_prompt_versions"]) == (
        "cool low light", ["23862efd2386"],
    )  # fmt: skip
    (batch,) = rows(home, imported_batches)
    assert batch["document"]["batchId"] == "batches/abc"


def test_a_document_that_has_changed_since_is_brought_up_to_date(
    tmp_path: Path, home: Path, ops: "Ops"
) -> None:
    documents = convex_documents()
    ops("import", "convex", str(Convex(documents).write(tmp_path / "one.zip")))
    documents["palette_tags"][1] |= {"tags": FULL, "error": None}

    report = ops("import", "convex", str(Convex(documents).write(tmp_path / "two.zip")), "--json")

    assert report.json()["tables"]["palette_tags"]["updated"] == 1
    assert len(rows(home, palette_tags)) == 3
    assert all(row["error_class"] is None for row in rows(home, palette_tags))


def test_runs_go_on_where_they_were_and_old_prompts_stay_apart(
    export: str, home: Path, ops: "Ops"
) -> None:
    ops("import", "convex", export)
    assert ops("prompts", "use", "23862efd2386").code == 0

    store = open_store(store_url(home))
    model = ModelTarget("23862efd2386", "openai", "gpt-4o-mini", 3)
    with store.write() as connection:
        raise_targets(connection, model[0], [(model[1], model[2])], 3, None, NOW)
        asked = {
            run: {
                (item.seed, item.attempt) for item in list_unanswered(connection, model, run, 3, 99)
            }
            for run in (1, 2, 3)
        }

    others = {(seed, 1) for seed in SEEDS[1:]}
    assert asked[1] == others
    assert asked[2] == {*others, (SEEDS[0], 2)}
    assert asked[3] == {*others, (SEEDS[0], 1)}


def test_a_version_without_text_is_listed_and_cannot_be_asked(dump: str, ops: "Ops") -> None:
    ops("import", "d1", dump)

    listed = {item["version"]: item for item in ops("prompts", "list", "--json").json()}
    used = ops("prompts", "use", "unknown-d1")

    assert listed["unknown-d1"]["answers"] == 1
    assert listed["unknown-d1"]["message"] == "imported from d1, text unknown"
    assert used.code == 1
    assert "the text of unknown-d1 is not known" in used.err


def test_imported_answers_are_not_parsed_anew(dump: str, ops: "Ops") -> None:
    ops("import", "d1", dump)

    assert ops("reparse", "--json").json()["read"] == 0


def test_the_warehouse_answers_over_what_was_imported(export: str, ops: "Ops") -> None:
    ops("import", "convex", export)

    found = ops("analytics", "sql", "SELECT DISTINCT source, model FROM votes ORDER BY 2", "--json")

    assert found.code == 0
    assert "convex" in found.out


def test_palettes_of_a_user_and_all_palettes_can_be_chosen(dump: str, ops: "Ops") -> None:
    one = ops("import", "d1", dump, "--liked-by", "BOB@example.com", "--json").json()
    every = ops("import", "d1", dump, "--all", "--json").json()

    assert one["tables"]["palettes"]["imported"] == 2
    assert every["tables"]["palettes"]["imported"] == 4


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--liked-by", "nobody@example.com"), 1, "no user has such an e-mail address"),
        (("--all", "--liked-by-admins"), 2, "choose one of"),
    ],
)
def test_a_wrong_choice_is_refused(
    words: tuple[str, ...], code: int, message: str, dump: str, ops: "Ops"
) -> None:
    ran = ops("import", "d1", dump, *words)

    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err


def test_a_file_of_which_nothing_can_be_taken_fails(tmp_path: Path, ops: "Ops") -> None:
    document = {**convex_documents()["palette_tags"][0], "seed": "bad"}
    path = Convex({"palette_tags": [document]}).write(tmp_path / "x.zip")

    ran = ops("import", "convex", str(path))

    assert ran.code == 1
    assert ran.err.endswith("error: all 1 rows were refused\n")


def test_people_get_the_counts_of_each_table_and_what_was_refused(dump: str, ops: "Ops") -> None:
    ran = ops("import", "d1", dump)

    assert "palettes: 6 read: 3 imported, 0 already there, 3 left out by the rule, 0 refused" in (
        ran.out.splitlines()
    )
    assert "mistral/large is not in the catalog: 1 answers kept under it" in ran.out.splitlines()
    line = _line_of("'bad'", dump)
    assert f"palette_tags:{line} 'bad'" in ran.err


def test_what_a_file_says_cannot_steer_the_terminal(tmp_path: Path, ops: "Ops") -> None:
    evil = "\x1b]0;evil\x07"
    d1 = site(tag_row(1, seed=evil), tag_row(2, provider=evil), tag_row(3, prompt_version=evil))
    d1.table(evil, ["a"], ["b"])

    ran = ops("import", "d1", str(d1.write(tmp_path / "evil.sql")))

    assert "\x1b" not in ran.out + ran.err
    assert ran.code == 0
