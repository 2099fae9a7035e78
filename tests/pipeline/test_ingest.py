import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection
from typing_extensions import override

from grabient_ops.palettes.invented import invented_seeds
from grabient_ops.pipeline import ingest
from grabient_ops.pipeline.ingest import ForeignBatchError, Ingest
from grabient_ops.pipeline.prompting import register_prompt_text
from grabient_ops.store.batches import Batch, reserve_batch
from grabient_ops.store.engine import Store
from grabient_ops.store.palettes import remove_palettes
from grabient_ops.store.requests import close_open_requests, count_requests
from grabient_ops.store.responses import count_strays
from grabient_ops.store.targets import ModelTarget, Unanswered

if TYPE_CHECKING:
    from tests.pipeline.conftest import Lab


class KilledError(Exception):
    """Stands for a kill: nothing of ours catches it."""


def _collect(lab: "Lab", batch: Batch, *files: bytes, store: Store | None = None) -> None:
    """Collect these result files, the output first."""
    paths = [lab.folder / f"{name}.jsonl" for name in ("output", "errors")[: len(files)]]
    for path, content in zip(paths, files, strict=True):
        path.write_bytes(content)
    Ingest(replace(lab.services, store=store or lab.store), batch.id).run(paths)


def _answers(lab: "Lab", batch: Batch, *positions: int) -> list[bytes]:
    return [lab.answer(f"{batch.id}-{position}") for position in positions]


def _refused(batch: Batch, position: int) -> bytes:
    error = {"code": "invalid_value", "message": "no"}
    body = {"custom_id": f"{batch.id}-{position}", "error": error, "response": None}
    return json.dumps({**body, "response": {"status_code": 400}}).encode() + b"\n"


def _requests(lab: "Lab", batch: Batch) -> dict[str, int]:
    with lab.store.read() as connection:
        return count_requests(connection, batch.id)


def _strays(lab: "Lab") -> dict[str, int]:
    with lab.store.read() as connection:
        return count_strays(connection)


def test_an_answer_is_stored_with_all_that_was_said_about_it(lab: "Lab") -> None:
    batch = lab.submitted(1)
    _collect(lab, batch, *_answers(lab, batch, 0))

    (row,) = lab.rows()
    assert row["seed"] == lab.palettes(1)[0]
    assert row["tags"]["mood"] == ["calm"]
    assert json.loads(row["response"]) == row["tags"]
    assert (row["input_tokens"], row["output_tokens"], row["finish_reason"]) == (100, 20, "stop")
    assert (row["model"], row["model_returned"]) == ("gpt-4o-mini", "gpt-4o-mini-2024-07-18")
    assert (row["attempt"], row["run_number"], row["batch_id"]) == (1, 1, batch.id)
    assert row["prompt_version"] == batch.prompt_version
    assert _requests(lab, batch) == {"succeeded": 1}
    assert batch.id in lab.announced("responses")


def test_output_and_errors_are_both_read_and_what_is_missing_stays_open(lab: "Lab") -> None:
    batch = lab.submitted(4)
    _collect(lab, batch, b"".join(_answers(lab, batch, 2, 0)), _refused(batch, 1))

    assert [(row["seed"], row["error_class"]) for row in lab.rows()] == [
        (lab.palettes(4)[2], None),
        (lab.palettes(4)[0], None),
        (lab.palettes(4)[1], "invalid_request"),
    ]
    assert _requests(lab, batch) == {"succeeded": 2, "failed": 1, "open": 1}


def test_usage_is_kept_when_the_answer_cannot_be_parsed(lab: "Lab") -> None:
    batch = lab.submitted(1)
    _collect(lab, batch, lab.answer(f"{batch.id}-0", "I cannot see any colours, sorry 🌅"))

    (row,) = lab.rows()
    assert (row["error_class"], row["tags"]) == ("unparsable", None)
    assert row["response"] == "I cannot see any colours, sorry 🌅"
    assert (row["input_tokens"], row["output_tokens"]) == (100, 20)
    assert _requests(lab, batch) == {"failed": 1}


def test_ten_empty_fields_are_no_answer(lab: "Lab") -> None:
    batch = lab.submitted(1)
    blank: dict[str, list[str] | None] = {
        field: None if isinstance(value, str) else [] for field, value in lab.tags.items()
    }
    _collect(lab, batch, lab.answer(f"{batch.id}-0", json.dumps(blank)))

    (row,) = lab.rows()
    assert (row["error_class"], row["tags"], row["input_tokens"]) == ("unparsable", None, 100)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b'{"custom_id": "', "unreadable"),
        (b"\xf0\x9f\xff garbage", "unreadable"),
        (b"null", "unreadable"),
        (b"[" * 100_000, "unreadable"),
        (b'{"custom_id": 7}', "unreadable"),
        (b'{"custom_id": "somebody-else-0"}', "unknown"),
        (b'{"custom_id": "<id>-7"}', "unknown"),
        (b'{"custom_id": "<id>-01"}', "unknown"),
        (b'{"custom_id": "<id>--1"}', "unknown"),
        (b'{"custom_id": "<id>-\\u0661"}', "unknown"),
        (b'{"custom_id": "<id>-\\ud83d"}', "unknown"),
        (b'{"custom_id": "<id>-"}', "unknown"),
        (b'{"custom_id": "<id>"}', "unknown"),
    ],
)
def test_a_line_that_belongs_to_nobody_is_kept_and_costs_no_other_line(
    lab: "Lab", line: bytes, kind: str
) -> None:
    batch = lab.submitted(2)
    bad = line.replace(b"<id>", batch.id.encode())
    first, second = _answers(lab, batch, 0, 1)
    _collect(lab, batch, first + bad + b"\n" + second)

    assert [row["error_class"] for row in lab.rows()] == [None, None]
    assert lab.query("SELECT kind, file, line, raw FROM stray_results") == [
        (kind, "output", 2, bad + b"\n")
    ]


def test_a_second_line_for_one_request_is_set_aside_whichever_file_it_is_in(lab: "Lab") -> None:
    batch = lab.submitted(2)
    first, second = _answers(lab, batch, 0, 1)
    again = lab.answer(f"{batch.id}-0", "something else")
    _collect(lab, batch, first + again + second, _refused(batch, 1))

    assert [row["error_class"] for row in lab.rows()] == [None, None]
    assert _strays(lab) == {"duplicate": 2}


def test_a_torn_last_line_is_kept_and_its_request_stays_open(lab: "Lab") -> None:
    batch = lab.submitted(2)
    torn = lab.answer(f"{batch.id}-1", "🌅").decode().encode()[:-30] + "🌅".encode()[:2]
    _collect(lab, batch, _answers(lab, batch, 0)[0] + torn)

    assert _requests(lab, batch) == {"succeeded": 1, "open": 1}
    assert lab.query("SELECT raw FROM stray_results") == [(torn,)]


def test_line_separators_inside_an_answer_do_not_cut_it(lab: "Lab") -> None:
    batch = lab.submitted(1)
    text = "a\u2028b\u2029c\x85d\x0b\x0c\x1c\0"
    line = json.loads(lab.answer(f"{batch.id}-0", text))
    _collect(lab, batch, json.dumps(line, ensure_ascii=False).encode() + b"\r\n")

    assert lab.rows()[0]["response"] == text


@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\n\t\n"])
def test_an_empty_file_stores_nothing(lab: "Lab", content: bytes) -> None:
    batch = lab.submitted(1)
    _collect(lab, batch, content, content)

    assert (lab.rows(), _strays(lab), _requests(lab, batch)) == ([], {}, {"open": 1})


def test_a_line_past_all_measure_is_kept_in_part_and_costs_no_other_line(
    lab: "Lab", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "_LONGEST_LINE", 5000)
    monkeypatch.setattr(ingest, "_LONGEST_KEPT", 100)
    batch = lab.submitted(3)
    huge = lab.answer(f"{batch.id}-1", "x" * 12_000)
    first, last = _answers(lab, batch, 0, 2)
    _collect(lab, batch, first + huge + last)

    assert _requests(lab, batch) == {"succeeded": 2, "open": 1}
    assert lab.query("SELECT line, raw FROM stray_results") == [(2, huge[:100])]


def test_collecting_again_adds_nothing(lab: "Lab") -> None:
    batch = lab.submitted(3)
    first, second = _answers(lab, batch, 0, 1)
    files = (first + first + b"garbage\n" + second, _refused(batch, 2))
    _collect(lab, batch, *files)
    before = (lab.rows(), _strays(lab))

    _collect(lab, batch, *files)
    assert (lab.rows(), _strays(lab)) == before
    lab.services.update(batch.id, collect_cursor=None)
    _collect(lab, batch, *files)
    assert (lab.rows(), _strays(lab)) == before


def test_killed_at_every_transaction_it_stores_each_line_exactly_once(
    lab: "Lab", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "_LINES_PER_TRANSACTION", 2)
    batch = lab.submitted(7)
    lines = _answers(lab, batch, 3, 0, 1)
    output = lines[0] + lines[1] + lines[0] + b"garbage\n" + lines[2]
    errors = b"".join(_refused(batch, position) for position in (2, 3, 4))

    kills = 0
    for number in range(30):
        store = _DyingStore(lab.store, commits=number % 2 == 1)
        try:
            _collect(lab, batch, output, errors, store=store)
        except KilledError:
            kills += 1
        else:
            break
    # Before and after each of the four commits that the eight lines need.
    assert kills == 8

    seeds = lab.palettes(7)
    stored = [(seeds.index(row["seed"]), row["error_class"]) for row in lab.rows()]
    refused = "invalid_request"
    assert stored == [(3, None), (0, None), (1, None), (2, refused), (4, refused)]
    assert _strays(lab) == {"duplicate": 2, "unreadable": 1}
    assert _requests(lab, batch) == {"succeeded": 3, "failed": 2, "open": 2}


def test_downloaded_again_in_another_order_no_answer_is_passed_over(
    lab: "Lab", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "_LINES_PER_TRANSACTION", 2)
    batch = lab.submitted(5)
    first = _answers(lab, batch, 0, 1, 2, 3, 4)
    with pytest.raises(KilledError):
        _collect(lab, batch, b"".join(first), store=_DyingStore(lab.store, commits=True))
    _collect(lab, batch, b"".join(reversed(first)))

    seeds = lab.palettes(5)
    assert [seeds.index(row["seed"]) for row in lab.rows()] == [0, 1, 4, 3, 2]
    assert (_requests(lab, batch), _strays(lab)) == ({"succeeded": 5}, {})
    assert lab.services.batch(batch.id).collect_cursor == [0, 5]


def test_the_cursor_never_goes_back(lab: "Lab") -> None:
    batch = lab.submitted(3)
    first = _answers(lab, batch, 0, 1)
    _collect(lab, batch, b"".join(first))
    _collect(lab, batch, *_answers(lab, batch, 2))

    assert len(lab.rows()) == 3
    assert lab.services.batch(batch.id).collect_cursor == [0, 2]


class _DyingStore(Store):
    """A store whose process dies just before, or just after, its next commit."""

    def __init__(self, store: Store, *, commits: bool) -> None:
        super().__init__(store._engine)
        self._commits = commits

    @contextmanager
    @override
    def write(self) -> Iterator[Connection]:
        with super().write() as connection:
            yield connection
            if not self._commits:
                raise KilledError
        raise KilledError


def test_what_was_answered_meanwhile_is_set_aside_and_the_votes_stay_whole(lab: "Lab") -> None:
    batch = lab.submitted(2)
    _collect(lab, batch, b"".join(_answers(lab, batch, 0)))
    # Attempt 2 was under way when attempt 1 was rescued by a better parser.
    seeds = lab.palettes(2)
    target = ModelTarget(batch.prompt_version, batch.provider, batch.model, 1)
    with lab.store.write() as connection:
        close_open_requests(connection, batch.id, "released")
        asked = [Unanswered(seed, 2) for seed in seeds]
        second = reserve_batch(connection, target, 1, asked, {}, lab.clock())
    lab.services.update(second, is_proven=True, parameters=batch.parameters)
    _collect(
        lab,
        lab.services.batch(second),
        b"".join(lab.answer(f"{second}-{position}") for position in range(2)),
    )

    assert [(row["seed"], row["attempt"]) for row in lab.rows()] == [(seeds[0], 1), (seeds[1], 2)]
    assert _strays(lab) == {"duplicate": 1}
    assert _requests(lab, lab.services.batch(second)) == {"succeeded": 2}


def test_a_prompt_changed_in_flight_does_not_relabel_the_results(lab: "Lab") -> None:
    batch = lab.submitted(1)
    newer, _ = register_prompt_text(lab.services, "a better prompt", "", use=True)
    _collect(lab, batch, *_answers(lab, batch, 0))

    (row,) = lab.rows()
    assert row["prompt_version"] == batch.prompt_version != newer


def test_a_palette_removed_in_flight_keeps_its_answer(lab: "Lab") -> None:
    batch = lab.submitted(1)
    seeds = lab.palettes(1)
    with lab.store.write() as connection:
        remove_palettes(connection, seeds, lab.clock())
    _collect(lab, batch, *_answers(lab, batch, 0))

    assert [row["seed"] for row in lab.rows()] == seeds


def test_two_prompt_versions_of_one_model_in_flight_keep_apart(lab: "Lab") -> None:
    first = lab.submitted(2)
    register_prompt_text(lab.services, "a better prompt", "", use=True)
    lab.want()
    lab.plan()
    second = lab.batches()[-1]
    lab.services.update(second.id, is_proven=True)
    for batch in (second, first):
        lines = (lab.answer(f"{batch.id}-{position}") for position in range(2))
        _collect(lab, batch, b"".join(lines))

    versions = [row["prompt_version"] for row in lab.rows()]
    assert versions == [second.prompt_version] * 2 + [first.prompt_version] * 2
    assert _strays(lab) == {}


def test_a_strangers_batch_is_recognised_and_nothing_of_it_stored(lab: "Lab") -> None:
    batch = lab.submitted(2)
    lab.services.update(batch.id, is_proven=False)

    with pytest.raises(ForeignBatchError):
        _collect(lab, batch, b"".join(lab.answer(f"stranger-{n}") for n in range(2)))
    assert (lab.rows(), _strays(lab)) == ([], {})


def test_one_line_of_ours_proves_that_the_batch_is_ours(lab: "Lab") -> None:
    batch = lab.submitted(2)
    lab.services.update(batch.id, is_proven=False)
    _collect(lab, batch, b"garbage\n" + lab.answer("?") + _answers(lab, batch, 1)[0])

    assert lab.services.batch(batch.id).is_proven
    assert len(lab.rows()) == 1


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=200), pieces=st.lists(st.integers(0, 2), max_size=4))
def test_no_bytes_stop_a_collection(lab: "Lab", content: bytes, pieces: list[int]) -> None:
    batch = next(iter(lab.batches()), None) or lab.submitted(3)
    lab.services.update(batch.id, collect_cursor=None)
    noise = content.replace(b"\n", b" ") + b"\n"
    _collect(lab, batch, noise.join([b"", *_answers(lab, batch, *pieces), b""]))

    stored = {row["seed"] for row in lab.rows()}
    seeds = sorted(invented_seeds(3))
    assert stored.issuperset(seeds[position] for position in pieces)


def test_an_id_of_five_thousand_digits_is_an_unknown_id(lab: "Lab") -> None:
    batch = lab.submitted(1)

    _collect(lab, batch, lab.answer(f"{batch.id}-" + "9" * 5000) + lab.answer(f"{batch.id}-0"))

    assert len(lab.rows()) == 1
    assert _strays(lab) == {"unknown": 1}


def test_unreadable_lines_do_not_disprove_an_adopted_batch(lab: "Lab") -> None:
    batch = lab.submitted(1)
    lab.services.update(batch.id, is_proven=False)

    _collect(lab, batch, b"garbage\n")

    assert _strays(lab) == {"unreadable": 1}


def test_an_answer_to_a_request_that_was_given_up_is_kept_aside(lab: "Lab") -> None:
    batch = lab.submitted(1)
    with lab.store.write() as connection:
        close_open_requests(connection, batch.id, "missing")

    _collect(lab, batch, lab.answer(f"{batch.id}-0"))

    assert lab.rows() == []
    assert _strays(lab) == {"late": 1}
