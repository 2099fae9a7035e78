import json
from pathlib import Path

import pytest

from grabient_ops.errors import InputError
from grabient_ops.importers.d1.choice import Choice
from grabient_ops.importers.d1.reading import read_d1
from grabient_ops.importers.values import (
    Doubtful,
    ImportedAnswer,
    ImportedPalette,
    LeftOut,
    Passed,
    Progressed,
    Record,
    Refused,
)
from grabient_ops.tagging.outcome import ErrorClass
from tests.importers.conftest import (
    D1,
    FULL,
    LIKES,
    PALETTES,
    REFINEMENTS,
    SEEDS,
    TAGS,
    USERS,
    Value,
    answers,
    site,
    tag_row,
)

ALL = Choice(everything=True)


def read(d1: D1, path: Path, choice: Choice = ALL) -> list[Record]:
    records = read_d1(d1.write(path), choice)
    return [record for record in records if not isinstance(record, Progressed)]


def palettes(records: list[Record]) -> list[str]:
    return [item.palette.seed for item in records if isinstance(item, ImportedPalette)]


def answer(path: Path, **cells: Value) -> ImportedAnswer:
    (found,) = answers(read(site(tag_row(1, **cells)), path))
    return found


def test_palettes_that_admins_like_are_chosen_unless_told_otherwise(dump: Path) -> None:
    records = read(site(), dump, Choice())

    assert palettes(records) == SEEDS[:3]
    assert len([item for item in records if isinstance(item, LeftOut)]) == 3


def test_palettes_that_somebody_likes_are_chosen_by_their_address_in_any_case(dump: Path) -> None:
    assert palettes(read(site(), dump, Choice(emails=("bob@example.com",)))) == [SEEDS[1], SEEDS[3]]


def test_all_palettes_come_with_what_is_said_beside_the_seed(dump: Path) -> None:
    records = read(site(), dump)

    assert palettes(records) == SEEDS
    second = [item for item in records if isinstance(item, ImportedPalette)][1]
    assert second.attributes == {
        "style": "linearSwatches", "steps": 7, "angle": 90, "created_at": 1764979200001, "likes": 2,
    }  # fmt: skip
    assert second.created_at is not None
    assert second.created_at.timestamp() == 1764979200.001


@pytest.mark.parametrize(
    ("d1", "choice", "reason"),
    [
        (
            D1().table("auth_user", USERS[:-1], ["u1", "a@b.c", 1, "", ""]).table("likes", LIKES),
            Choice(),
            "auth_user has no column role; choose palettes with --liked-by EMAIL, or take --all",
        ),
        (D1().table("palettes", PALETTES), Choice(), "has no users, .* take --all"),
        (D1().table("auth_user", USERS).table("palettes", PALETTES), Choice(), "has no likes"),
        (site().sql(""), Choice(emails=("nobody@example.com",)), "no user has such an e-mail"),
        (
            D1().table("auth_user", USERS, ["u", "e", 1, "", "", "user"]).table("likes", LIKES),
            Choice(),
            "no user has the role admin; choose",
        ),
        (
            D1().table("auth_user", USERS, ["u", "e", 1, "", "", "admin"]).table("likes", LIKES),
            Choice(),
            "those users like no palette; choose",
        ),
        (D1().table("friends", ["id"]), ALL, "holds no table of the site"),
        (D1(), ALL, "holds no table of the site"),
        (
            D1().sql("INSERT INTO likes VALUES(now());"),
            ALL,
            "holds no row .* line 2: The statement",
        ),
    ],
)
def test_a_rule_that_can_choose_nothing_is_refused_with_what_to_do(
    d1: D1, choice: Choice, reason: str, dump: Path
) -> None:
    with pytest.raises(InputError, match=reason):
        read(d1, dump, choice)


def test_no_address_and_no_name_of_a_user_is_taken_over(dump: Path) -> None:
    told = repr(read(site(tag_row(1)), dump))

    assert "example.com" not in told
    assert "Hara" not in told


def test_the_order_of_tables_does_not_matter(dump: Path) -> None:
    d1 = D1().table("palettes", PALETTES, [SEEDS[0], "x", 7, 90, 5], [SEEDS[1], "x", 7, 90, 5])
    d1.table("likes", LIKES, ["u", SEEDS[1], 7, "x", 90, 5])
    d1.table("auth_user", USERS, ["u", "e", 1, "", "", "admin"])

    assert palettes(read(d1, dump, Choice())) == [SEEDS[1]]


def test_a_liked_palette_without_a_row_of_its_own_is_taken(dump: Path) -> None:
    d1 = D1().table("auth_user", USERS, ["u", "e", 1, "", "", "admin"])
    d1.table("likes", LIKES, ["u", SEEDS[0], 7, "x", 90, 5], ["u", "no seed", 7, "x", 90, 5])

    records = read(d1, dump, Choice())

    assert palettes(records) == [SEEDS[0]]
    assert [item.value for item in records if isinstance(item, Refused)] == ["no seed"]


@pytest.mark.parametrize(
    ("d1", "choice"),
    [
        (
            D1()
            .table("collections", ("id", "seed", "style"), [7, SEEDS[0], "x"], [8, SEEDS[1], "x"])
            .table("likes", ("id", "seed", "user_id"), [1, SEEDS[1], "u"]),
            Choice(emails=("e",)),
        ),
        (
            D1()
            .table(
                "palettes", ("style", "id", "seed"), ["x", "k1", SEEDS[0]], ["x", "k2", SEEDS[1]]
            )
            .table("likes", ("palette_id", "user_id"), ["k2", "u"]),
            Choice(emails=("e",)),
        ),
        (
            D1()
            .sql("INSERT INTO palettes (id, seed) VALUES ('a', 'no seed'), ('b', {0});")
            .sql("INSERT INTO likes (user_id, seed) VALUES ('u', {0});"),
            Choice(emails=("e",)),
        ),
    ],
    ids=["collections", "ids of their own", "seed.sql"],
)
def test_schemas_of_other_ages_are_read_by_the_names_of_columns(
    d1: D1, choice: Choice, dump: Path
) -> None:
    d1.table("users", ("name", "email", "id"), ["", "E", "u"])

    dump.write_text(d1.bytes().decode().replace("{0}", f"'{SEEDS[1]}'"))
    records = read_d1(dump, choice)

    assert [item.palette.seed for item in records if isinstance(item, ImportedPalette)] == [
        SEEDS[1]
    ]


def test_an_answer_keeps_its_cell_run_version_and_time(dump: Path) -> None:
    cell = json.dumps(FULL, indent=1, ensure_ascii=False) + "\n"
    found = answer(dump, tags=cell, run_number=4)

    assert found.response == cell
    assert found.tags == FULL
    assert (found.seed, found.provider, found.model) == (SEEDS[0], "openai", "gpt-4o-mini")
    assert (found.run_number, found.prompt_version) == (4, "23862efd2386")
    assert (found.error_class, found.error) == (None, None)
    assert found.created_at is not None
    assert found.extra["id"] == "pt1"


def test_an_unknown_prompt_version_stays_unknown(dump: Path) -> None:
    assert answer(dump, prompt_version=None).prompt_version is None


def test_the_colours_of_the_first_prompts_are_found_under_their_old_name(dump: Path) -> None:
    old = {key: value for key, value in FULL.items() if key != "dominant_colors"}
    found = answer(dump, tags=json.dumps({**old, "color_family": ["teal"]}))

    assert found.tags is not None
    assert found.tags["dominant_colors"] == ["teal"]


def test_tags_with_few_fields_count_since_the_first_system_had_checked_them(dump: Path) -> None:
    found = answer(dump, tags='{"mood": ["calm"]}')

    assert found.tags is not None
    assert found.tags["mood"] == ["calm"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("Parse error: Unexpected token at position 400", ErrorClass.UNPARSABLE),
        ("batch expired", ErrorClass.EXPIRED),
        ("Request was canceled", ErrorClass.CANCELED),
        ("429 Too Many Requests", ErrorClass.OVERLOADED),
        ("fetch failed", ErrorClass.OVERLOADED),
        ("400 invalid_request_error", ErrorClass.INVALID_REQUEST),
        ("blocked: SAFETY", ErrorClass.REFUSED),
        ("stopped at max_tokens", ErrorClass.TRUNCATED),
        ("whatever", ErrorClass.UNPARSABLE),
    ],
)
def test_a_failure_keeps_its_words_and_gets_a_class(
    error: str, kind: ErrorClass, dump: Path
) -> None:
    found = answer(dump, tags=None, error=error)

    assert (found.tags, found.error_class, found.error) == (None, kind, error)


@pytest.mark.parametrize("cell", ["", "no json", "[]", '{"a": 1}', "\t\x01", "{" * 100_000])
def test_a_cell_that_holds_no_tags_is_a_failure_that_keeps_the_cell(cell: str, dump: Path) -> None:
    found = answer(dump, tags=cell)

    assert (found.response, found.error_class) == (cell, ErrorClass.UNPARSABLE)
    assert found.error


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        ("groq-gpt-oss-20b", "gpt-oss-20b", ("groq", "openai/gpt-oss-20b")),
        ("groq-llama3", "llama3", ("groq", "llama-3.3-70b-versatile")),
        ("google-gemini-lite", "gemini-2.5-flash-lite", ("google", "gemini-2.5-flash-lite")),
        ("anthropic-haiku", "", ("anthropic", "claude-3-5-haiku-20241022")),
        ("groq", "qwen3-32b", ("groq", "qwen/qwen3-32b")),
        ("openai", "gpt-5-nano", ("openai", "gpt-5-nano")),
        ("mistral-large", "mistral-large-2", ("mistral-large", "mistral-large-2")),
    ],
)
def test_known_old_names_of_models_are_translated_and_others_kept(
    provider: str, model: str, expected: tuple[str, str], dump: Path
) -> None:
    found = answer(dump, provider=provider, model=model)

    assert (found.provider, found.model) == expected
    if expected != (provider, model):
        assert (found.extra["provider"], found.extra["model"]) == (provider, model)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"seed": "nonsense"}, "Its length is 8; a seed has at least 20 characters."),
        ({"seed": None}, "It names no palette."),
        ({"provider": None}, "It names no provider."),
        ({"run_number": 0}, "Its run is no whole number from 1."),
        ({"run_number": "many"}, "Its run is no whole number from 1."),
        ({"run_number": 1e300}, "Its run is no whole number from 1."),
    ],
)
def test_a_row_that_cannot_be_taken_is_refused_with_its_line_and_reason(
    cells: dict[str, Value], reason: str, dump: Path
) -> None:
    records = read(site(tag_row(1, **cells), tag_row(2)), dump)

    (refused,) = [item for item in records if isinstance(item, Refused)]
    line = next(
        number for number, text in enumerate(dump.read_text().split("\n"), 1) if "'pt1'" in text
    )
    assert (refused.place.table, refused.place.line, refused.reason) == (
        "palette_tags", line, reason,
    )  # fmt: skip
    assert [found.extra["id"] for found in answers(records)] == ["pt2"]


def test_a_time_that_is_none_costs_nothing_else(dump: Path) -> None:
    found = answer(dump, created_at=1e300)

    assert found.created_at is None
    assert found.extra["created_at"] == "1e+300"


def test_a_doubtful_cell_is_imported_and_reported_with_its_line(dump: Path) -> None:
    records = read(site(tag_row(1, tags="a\nb\\nc")), dump)

    assert [found.response for found in answers(records)] == ["a\nb\nc"]
    (doubt,) = [item for item in records if isinstance(item, Doubtful)]
    assert (doubt.place.table, doubt.column) == ("palette_tags", "tags")


def test_rows_are_told_apart_by_all_of_their_cells(dump: Path) -> None:
    rows = [tag_row(1), tag_row(1, prompt_version=None), tag_row(1, tags=None), tag_row(1)]

    first, *others, again = [found.source_id for found in answers(read(site(*rows), dump))]

    assert again == first
    assert len({first, *others}) == 3


def test_a_refinement_comes_with_what_it_was_made_of(dump: Path) -> None:
    row = ("r1", SEEDS[0], "claude-opus-4-5-20251101", "v1", "23862efd2386", '{"x": 1}',
           json.dumps(FULL), '{"why": "a"}', None, 5)  # fmt: skip

    (found,) = answers(read(site().table("palette_tag_refinements", REFINEMENTS, row), dump))

    assert (found.provider, found.run_number, found.tags) == ("anthropic", 1, FULL)
    assert found.refinement is not None
    assert found.refinement.source_prompt_versions == ["23862efd2386"]
    assert found.refinement.input == '{"x": 1}'
    assert found.refinement.embed_text is not None
    assert "calm" in found.refinement.embed_text
    assert found.extra["analysis"] == '{"why": "a"}'


def test_what_is_not_taken_is_counted(dump: Path) -> None:
    d1 = site().table("auth_session", ["id", "token"], ["s1", "secret"])
    passed = {item.what: item for item in read(d1, dump) if isinstance(item, Passed)}

    assert passed["auth_session"].rows == 1
    assert passed["d1_migrations"].reason == "the newest is 0013_unique.sql"
    assert passed["likes"].rows == 5
    assert passed["statement PRAGMA"].rows == 1


def test_broken_statements_are_refused_once(dump: Path) -> None:
    d1 = site(tag_row(1)).sql('INSERT INTO "palette_tags" VALUES(now());')
    d1.rows("palette_tags", tag_row(2))

    records = read(d1, dump)

    assert len([item for item in records if isinstance(item, Refused)]) == 1
    assert len(answers(records)) == 2


def test_a_dump_of_the_tags_alone_needs_no_palettes(dump: Path) -> None:
    assert len(answers(read(D1().table("palette_tags", TAGS, tag_row(1)), dump))) == 1


def test_a_zip_is_refused_with_the_command_that_reads_it(dump: Path) -> None:
    dump.write_bytes(b"PK\3\4")

    with pytest.raises(InputError, match="`import convex` reads exports of Convex"):
        list(read_d1(dump, ALL))


@pytest.mark.parametrize("name", ["missing.sql", "."])
def test_a_file_that_cannot_be_opened_is_refused_with_its_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"(No such file|Is a directory)"):
        list(read_d1(tmp_path / name, ALL))
