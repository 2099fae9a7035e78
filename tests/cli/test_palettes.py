import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from grabient_ops.palettes.bundled import bundled_seeds

if TYPE_CHECKING:
    from tests.cli.conftest import Ops

SEEDS = bundled_seeds()[:40]


@pytest.fixture
def seeds_file(tmp_path: Path) -> Path:
    path = tmp_path / "seeds.txt"
    path.write_text("\n".join(SEEDS))
    return path


def test_import_tells_bad_rows_and_takes_the_rest(ops: "Ops", tmp_path: Path) -> None:
    path = tmp_path / "mixed.csv"
    path.write_text(f"seed\n{SEEDS[0]}\nnonsense\n{SEEDS[1]}.png\n{SEEDS[2]}\n{SEEDS[0]}\n")

    ran = ops("palettes", "import", str(path), "--json")

    report = ran.json()
    assert ran.code == 0
    assert (report["read"], report["imported"], report["already_there"]) == (5, 2, 1)
    assert [(row["file"], row["line"], row["seed"]) for row in report["refused"]] == [
        (str(path), 3, "nonsense"),
        (str(path), 4, f"{SEEDS[1]}.png"),
    ]
    assert all(row["reason"] for row in report["refused"])
    assert [row.get("suggestion") for row in report["refused"]] == [None, SEEDS[1]]


def test_importing_again_changes_nothing_and_succeeds(ops: "Ops", seeds_file: Path) -> None:
    ops("palettes", "import", str(seeds_file))

    ran = ops("palettes", "import", str(seeds_file), "--json")

    assert ran.code == 0
    assert (ran.json()["imported"], ran.json()["already_there"]) == (0, 40)


def test_import_reads_stdin(ops: "Ops") -> None:
    lines = "".join(json.dumps({"seed": seed}) + "\n" for seed in SEEDS)

    assert ops("palettes", "import", "-", "--json", stdin=lines.encode()).json()["imported"] == 40


def test_files_that_cannot_be_read_do_not_keep_the_others_out(
    ops: "Ops", tmp_path: Path, seeds_file: Path
) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    missing = tmp_path / "missing.txt"

    ran = ops(
        "palettes", "import", str(missing), str(tmp_path), str(picture), str(seeds_file), "--json"
    )

    assert ran.code == 0
    assert ran.json()["imported"] == 40
    assert [row["file"] for row in ran.json()["unreadable"]] == [
        str(missing),
        str(tmp_path),
        str(picture),
    ]


@pytest.mark.parametrize("content", [b"", b"nonsense\n", b"\0\0\0\0", b"seed\n"])
def test_import_of_nothing_valid_fails_with_one_line(
    ops: "Ops", tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "seeds.csv"
    path.write_bytes(content)

    ran = ops("palettes", "import", str(path), "--json")

    assert ran.code == 1
    assert ran.json()["imported"] == 0
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1


def test_import_of_a_missing_file_fails_with_one_line(ops: "Ops", tmp_path: Path) -> None:
    ran = ops("palettes", "import", str(tmp_path / "missing"))

    assert ran.code == 1
    assert ran.err == f"error: {tmp_path / 'missing'}: No such file or directory\n"


def test_the_list_of_refusals_is_capped_but_not_their_count(ops: "Ops", tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_text("bad\n" * 1500 + SEEDS[0])

    report = ops("palettes", "import", str(path), "--json").json()

    assert report["read"] == 1501
    assert len(report["refused"]) + report["refused_unlisted"] == 1500
    assert len(report["refused"]) == 1000


def test_import_without_a_file_is_wrong_usage(ops: "Ops") -> None:
    assert ops("palettes", "import").code == 2


def test_list_pages_through_all_palettes_in_order(ops: "Ops", seeds_file: Path) -> None:
    ops("palettes", "import", str(seeds_file))

    first = [row["seed"] for row in ops("palettes", "list", "--limit", "25", "--json").json()]
    rest = [row["seed"] for row in ops("palettes", "list", "--after", first[-1], "--json").json()]

    assert first + rest == sorted(SEEDS)


def test_list_prints_whole_seeds(ops: "Ops", seeds_file: Path) -> None:
    ops("palettes", "import", str(seeds_file))

    assert {line.split()[0] for line in ops("palettes", "list").out.splitlines()} == set(SEEDS)


def test_show_describes_seeds_that_are_not_stored(ops: "Ops") -> None:
    (shown,) = ops("palettes", "show", SEEDS[0], "--json").json()

    assert shown["seed"] == SEEDS[0]
    assert shown["valid"] is True
    assert "reason" not in shown
    assert set(shown) >= {"format", "coeff_key", "color_names", "facts"}
    assert [len(row) for row in shown["coeffs"]] == [3, 3, 3, 3]
    assert len(shown["globals"]) == 4
    for notation in ("rgb", "hsl", "lch"):
        assert [len(row) for row in shown[notation]] == [3] * 11
    assert all(code.startswith("#") and len(code) == 7 for code in shown["hex"])
    assert len(shown["hex"]) == 11


def test_show_keeps_the_order_and_explains_invalid_seeds(ops: "Ops") -> None:
    ran = ops("palettes", "show", "bad", "-", SEEDS[1], "--json", stdin=f"{SEEDS[0]}\n\n".encode())

    assert ran.code == 0
    assert [(row["seed"], row["valid"]) for row in ran.json()] == [
        ("bad", False),
        (SEEDS[0], True),
        (SEEDS[1], True),
    ]
    assert ran.json()[0]["reason"]


@pytest.mark.parametrize("word", ["\udcff\udcfe", "\x1b[31mred", "蓝色🌊", "x" * 10_000, ""])
def test_show_survives_any_word(ops: "Ops", word: str) -> None:
    machine, human = ops("palettes", "show", word, "--json"), ops("palettes", "show", word)

    assert (machine.code, human.code) == (0, 0)
    assert machine.json()[0]["valid"] is False
    assert "\x1b" not in human.out


def test_show_draws_the_colours_for_people(ops: "Ops") -> None:
    code = ops("palettes", "show", SEEDS[0], "--json").json()[0]["hex"][0]

    assert code in ops("palettes", "show", SEEDS[0]).out


def test_remove_says_what_it_removed(ops: "Ops", seeds_file: Path) -> None:
    ops("palettes", "import", str(seeds_file))

    ran = ops("palettes", "remove", SEEDS[0], "unknown", "--json")

    assert ran.json() == {"removed": 1, "unknown": ["unknown"]}
    assert len(ops("palettes", "list", "--json").json()) == 39


def test_remove_of_nothing_stored_fails_with_one_line(ops: "Ops") -> None:
    ran = ops("palettes", "remove", SEEDS[0])

    assert (ran.code, ran.err) == (1, "error: none of these palettes is stored\n")
