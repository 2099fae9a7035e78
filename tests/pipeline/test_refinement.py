import json
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from grabient_ops.errors import InputError
from grabient_ops.images.render import render_pngs
from grabient_ops.pipeline.completion import complete
from grabient_ops.pipeline.ingest import Ingest
from grabient_ops.pipeline.passes import Wish, open_pass
from grabient_ops.pipeline.payload import payload_path, write_payload
from grabient_ops.pipeline.prompting import register_prompt_text
from grabient_ops.pipeline.refinement import (
    RefinementPass,
    refining,
    request_refinements,
    what_is_shown,
)
from grabient_ops.pipeline.refinement_estimate import estimate_refinements
from grabient_ops.pipeline.reparse import Reparsed, Reparser
from grabient_ops.pipeline.runs import Planner
from grabient_ops.pipeline.services import RefinementChoice, Services
from grabient_ops.pipeline.stages import STAGES
from grabient_ops.pipeline.status import is_all_answered, read_status
from grabient_ops.pipeline.waiting import End
from grabient_ops.store.batches import Batch
from grabient_ops.store.tables import palette_tag_refined, palette_tags
from grabient_ops.tagging.prompts import refinement_prompt

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pipeline.conftest import Lab

ENDED: End = {"how": "completed", "files": [], "message": None, "queue_full": False}
TAGS: dict[str, Any] = {
    "mood": ["calm", "凉"], "style": ["flat"], "dominant_colors": ["blue"], "harmony": [],
    "temperature": "cool", "contrast": "low", "brightness": "light", "saturation": "muted",
    "seasonal": ["winter"], "associations": ['purple\'],\n "temperature', "海🌊", "مرحبا"],
}  # fmt: skip
REFINED = {
    **TAGS, "mood": ["calm"], "associations": ["sea"], "harmony": ["analogous", "pretty"],
    "dropped": [{"tag": "storm", "reason": "the colours are pale"}], "sentence": "A calm sea.",
}  # fmt: skip


def _tagged(lab: "Lab", count: int = 2, runs: int = 1) -> str:
    """Palettes that one model has tagged; the prompt version."""
    lab.palettes(count)
    version = lab.want(runs=runs)
    for _ in range(runs):
        batch = lab.services.batch(lab.plan().reserved[0])
        lab.respond(batch)
        _give_tags(lab)
        _end(lab, batch)
    return version


def _give_tags(lab: "Lab") -> None:
    with lab.store.write() as connection:
        connection.execute(sa.update(palette_tags).values(tags=TAGS))


def _end(lab: "Lab", batch: Batch, **services: Any) -> None:  # noqa: ANN401 - parts of Services
    assert complete(replace(lab.services, **services), batch.workflow_id, batch.id, ENDED)


def _choice(lab: "Lab") -> RefinementChoice:
    return RefinementChoice(lab.model("anthropic"), "inline")


def _ask(lab: "Lab", **wanted: Any) -> int:  # noqa: ANN401 - fields of RefinementPass
    return request_refinements(lab.services, RefinementPass(lab.model("anthropic"), **wanted))


def _refinements(lab: "Lab") -> list[Batch]:
    return [batch for batch in lab.batches() if batch.kind == "refinement"]


def _payload(services: Services, batch: Batch) -> list[list[str]]:
    """The lines of a payload: id, system prompt, text and picture."""
    text = payload_path(services, batch.id).read_text()
    return [json.loads(line) for line in text.splitlines()]


def _targets(lab: "Lab") -> list[tuple[Any, ...]]:
    version = refinement_prompt().version
    return lab.query(f"SELECT seed FROM targets WHERE prompt_version = '{version}'")  # noqa: S608


def _collect(lab: "Lab", batch: Batch, path: "Path", *texts: str) -> list[dict[str, Any]]:
    """Have the answers of a refinement stored; the rows, oldest first."""
    lines = [
        {
            "custom_id": f"{batch.id}-{position}",
            "response": {
                "status_code": 200,
                "body": {
                    "model": batch.model,
                    "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 1000, "completion_tokens": 200},
                },
            },
        }
        for position, text in enumerate(texts)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    lab.services.update(batch.id, is_proven=True, state="collecting", provider_batch_id=batch.id)
    Ingest(lab.services, batch.id).run([path])
    with lab.store.read() as connection:
        rows = connection.execute(sa.select(palette_tag_refined).order_by(palette_tag_refined.c.id))
        return [dict(row) for row in rows.mappings()]


def test_refinement_starts_by_itself_when_the_last_run_is_complete(lab: "Lab") -> None:
    lab.palettes(2)
    lab.want(runs=2)
    for run in (1, 2):
        batch = lab.services.batch(lab.plan().reserved[0])
        lab.respond(batch)
        _give_tags(lab)
        assert _targets(lab) == []
        _end(lab, batch, refine_after=_choice(lab))
        assert len(_targets(lab)) == (2 if run == 2 else 0)


def test_without_the_setting_it_waits_for_the_operator(lab: "Lab") -> None:
    _tagged(lab)

    assert _targets(lab) == []
    assert _ask(lab) == 2
    assert len(_targets(lab)) == 2


def test_it_does_not_start_while_another_model_has_something_left(lab: "Lab") -> None:
    lab.palettes(2)
    lab.want("openai", "groq")
    first, second = (lab.services.batch(batch_id) for batch_id in lab.plan().reserved)
    for batch, targets in ((first, 0), (second, 2)):
        lab.respond(batch)
        _give_tags(lab)
        _end(lab, batch, refine_after=_choice(lab))
        assert len(_targets(lab)) == targets


def test_the_end_of_a_refinement_is_followed_by_nothing(lab: "Lab", tmp_path: "Path") -> None:
    _tagged(lab)
    _ask(lab)
    version = refinement_prompt().version
    wish = Wish("refinement", version, [lab.model("anthropic")], {"runs": 1}, 10**15)
    open_pass(lab.services, wish, {})
    lab.plan()
    before = lab.query("SELECT id FROM passes")
    (batch,) = _refinements(lab)
    _collect(lab, batch, tmp_path / "output.jsonl", *[json.dumps(REFINED)] * 2)
    _end(lab, batch, refine_after=_choice(lab))

    assert lab.query("SELECT id FROM passes") == before


def test_a_completion_that_is_rolled_back_starts_nothing(lab: "Lab") -> None:
    lab.palettes(1)
    lab.want()
    batch = lab.services.batch(lab.plan().reserved[0])
    lab.respond(batch)

    def broken() -> Any:  # noqa: ANN401 - never returns
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        complete(
            replace(lab.services, refine_after=_choice(lab), now=_Failing(broken)),
            batch.workflow_id, batch.id, ENDED,
        )  # fmt: skip
    assert _targets(lab) == []
    _end(lab, batch, refine_after=_choice(lab))
    assert len(_targets(lab)) == 1


class _Failing:
    """A clock that breaks at its second look, in the middle of the transaction."""

    def __init__(self, then: Any) -> None:  # noqa: ANN401
        self._looks = 0
        self._then = then

    def __call__(self) -> Any:  # noqa: ANN401
        self._looks += 1
        return datetime.now(UTC) if self._looks == 1 else self._then()


def test_completing_further_runs_refines_only_what_was_not(lab: "Lab") -> None:
    _tagged(lab)
    _ask(lab)
    lab.plan()
    lab.palettes(1, first=2)
    lab.want()
    (batch_id,) = lab.plan().reserved
    lab.respond(lab.services.batch(batch_id))
    _give_tags(lab)
    _end(lab, lab.services.batch(batch_id), refine_after=_choice(lab))

    lab.plan()
    assert [batch.request_count for batch in _refinements(lab)] == [2, 1]


def test_what_the_model_sees_is_stored_with_the_request_and_with_the_answer(
    lab: "Lab", tmp_path: "Path"
) -> None:
    version = _tagged(lab)
    _ask(lab)
    (batch,) = [lab.services.batch(batch_id) for batch_id in lab.plan().reserved]
    seeds = [row[0] for row in lab.query("SELECT seed FROM requests WHERE input IS NOT NULL")]
    shown = what_is_shown(lab.services, seeds, [version])

    assert "凉" in shown[0]
    assert "海🌊" in shown[0]
    # A further answer changes the consensus, but not what was asked.
    with lab.store.write() as connection:
        connection.execute(sa.update(palette_tags).values(tags={**TAGS, "mood": ["late"]}))
    rows = _collect(lab, batch, tmp_path / "output.jsonl", *[json.dumps(REFINED)] * 2)

    assert [(row["seed"], row["input"]) for row in rows] == list(zip(seeds, shown, strict=True))
    assert {tuple(row["source_prompt_versions"]) for row in rows} == {(version,)}
    assert rows[0]["tags"]["associations"] == ["sea"]
    assert rows[0]["tags"]["harmony"] == ["analogous"]
    assert rows[0]["sentence"] == "A calm sea."
    assert {item["tag"] for item in rows[0]["dropped"]} == {"storm", "pretty"}
    assert "calm" in rows[0]["embed_text"]
    prices = lab.model("anthropic").prices
    assert prices
    assert rows[0]["cost"] == round(
        1000 * prices.batch_input * 1e6 + 200 * prices.batch_output * 1e6
    )
    assert lab.announced("refinements") == [batch.id]


def test_the_payload_holds_prompt_consensus_and_picture(lab: "Lab") -> None:
    _tagged(lab)
    _ask(lab)
    batch = lab.services.batch(lab.plan().reserved[0])

    write_payload(lab.services, batch)

    lines = _payload(lab.services, batch)
    seeds = [row[0] for row in lab.query("SELECT seed FROM requests WHERE input IS NOT NULL")]
    for line, picture in zip(lines, render_pngs(seeds), strict=True):
        assert line[1] == refinement_prompt().content
        assert "1 answers of 1 models" in line[2]
        assert line[3] == b64encode(picture).decode()


def test_pictures_can_be_left_out(lab: "Lab") -> None:
    _tagged(lab)
    _ask(lab, pictures=None)
    batch = lab.services.batch(lab.plan().reserved[0])

    write_payload(lab.services, batch)

    assert {len(line) for line in _payload(lab.services, batch)} == {3}


def test_pictures_by_address_are_published_before_anything_is_reserved(lab: "Lab") -> None:
    _tagged(lab)
    _ask(lab, pictures="url")
    published: list[str] = []
    services = replace(
        lab.services, publish_pictures=published.extend, picture_url=lambda s: f"https://p/{s}"
    )

    batch = services.batch(Planner(services).plan().reserved[0])
    write_payload(services, batch)

    seeds = [row[0] for row in lab.query("SELECT seed FROM requests WHERE input IS NOT NULL")]
    lines = _payload(services, batch)
    assert published == seeds
    assert [line[3] for line in lines] == [f"https://p/{seed}" for seed in seeds]


def test_palettes_with_most_answers_come_first(lab: "Lab") -> None:
    _tagged(lab, 3)
    most = lab.query("SELECT seed FROM palettes ORDER BY seed DESC LIMIT 1")[0][0]
    with lab.store.write() as connection:
        others = sa.update(palette_tags).where(palette_tags.c.seed != most)
        connection.execute(others.values(error_class="refused"))
        this = sa.update(palette_tags).where(palette_tags.c.seed == most)
        connection.execute(this.values(error_class=None))
    assert _ask(lab, limit=1) == 1

    assert _targets(lab) == [(most,)]


def test_asking_again_changes_nothing_and_more_runs_are_further_cycles(lab: "Lab") -> None:
    _tagged(lab)
    for _ in range(2):
        assert _ask(lab) == 2
    lab.plan()
    assert lab.plan().reserved == []
    (batch,) = _refinements(lab)
    assert (batch.run_number, batch.request_count) == (1, 2)

    _ask(lab, runs=2)
    assert _targets(lab) == sorted(_targets(lab))
    assert {row[0] for row in lab.query("SELECT target_runs FROM targets")} == {1, 2}


def test_failed_refinements_are_asked_again_exactly_up_to_five_times(
    lab: "Lab", tmp_path: "Path"
) -> None:
    _tagged(lab)
    _ask(lab)
    asked = []
    while reserved := lab.plan().reserved:
        (batch,) = [lab.services.batch(batch_id) for batch_id in reserved]
        asked.append((batch.attempt, batch.request_count))
        good = json.dumps(REFINED) if batch.attempt == 1 else "no idea"
        texts = ["no idea", good][: batch.request_count]
        _collect(lab, batch, tmp_path / f"{batch.id}.jsonl", *texts)
        _end(lab, lab.services.batch(batch.id))

    assert asked == [(1, 2), (2, 1), (3, 1), (4, 1), (5, 1)]
    assert read_status(lab.services)["refinement"] == {
        "ready": 2, "refined": 1, "pending": 0, "failed": 1,
    }  # fmt: skip
    assert is_all_answered(lab.services)


def test_requests_without_a_line_are_refinements_that_failed(lab: "Lab") -> None:
    _tagged(lab)
    _ask(lab)
    batch = lab.services.batch(lab.plan().reserved[0])
    lab.services.update(batch.id, submit_started_at=lab.clock(), provider_batch_id="x")

    _end(lab, lab.services.batch(batch.id))

    rows = lab.query("SELECT error_class, cost, length(input) > 0 FROM palette_tag_refined")
    assert rows == [("missing", 0, 1)] * 2
    assert lab.announced("refinements") == [batch.id]


def test_sources_can_be_chosen_and_must_be_tagging_prompts(lab: "Lab") -> None:
    first = _tagged(lab)
    other, _ = register_prompt_text(lab.services, "Answer in JSON.", "shorter", use=True)
    with pytest.raises(InputError, match="no palette has an answer"):
        _ask(lab)
    assert _ask(lab, sources=[first[:6], first]) == 2
    for wrong in ("zzz", refinement_prompt().version):
        with pytest.raises(InputError, match="no tagging prompt version"):
            _ask(lab, sources=[wrong])
    lab.plan()
    assert _refinements(lab)[0].options == {"sources": [first], "pictures": "inline"}
    assert other != first


def test_refining_has_parameters_of_its_own(lab: "Lab") -> None:
    opus = refining(lab.services.catalog.find("claude-opus-4-5"))
    haiku = lab.model("anthropic")

    assert opus.extra["thinking"] == {"type": "enabled", "budget_tokens": 1024}
    assert (opus.temperature, opus.max_output_tokens) == (None, 4096)
    assert haiku.temperature is not None
    assert (refining(haiku).temperature, refining(haiku).max_output_tokens) == (0.3, 4096)


def test_an_estimate_counts_what_is_not_refined_yet(lab: "Lab", tmp_path: "Path") -> None:
    _tagged(lab)
    wanted = RefinementPass(lab.model("anthropic"))
    before = estimate_refinements(lab.services, wanted)
    _ask(lab)
    batch = lab.services.batch(lab.plan().reserved[0])
    _collect(lab, batch, tmp_path / "output.jsonl", json.dumps(REFINED), "no idea")

    after = estimate_refinements(lab.services, wanted)

    assert (before.requests, after.requests) == (2, 1)
    assert before.batch_usd
    assert before.standard_usd == pytest.approx(2 * before.batch_usd)


def test_a_better_parser_reads_stored_refinements_again(lab: "Lab", tmp_path: "Path") -> None:
    _tagged(lab)
    _ask(lab)
    batch = lab.services.batch(lab.plan().reserved[0])
    _collect(lab, batch, tmp_path / "output.jsonl", *[json.dumps(REFINED)] * 2)
    with lab.store.write() as connection:
        connection.execute(sa.update(palette_tag_refined).values(embed_text="old", dropped=None))

    def reparse() -> Reparsed:
        stage = STAGES["refinement"]
        return Reparser(lab.services, stage, dry_run=False, allow_loss=False).run(lambda _: None)

    assert (reparse().changed, reparse().unchanged) == (2, 2)
    rows = lab.query("SELECT embed_text, dropped IS NULL FROM palette_tag_refined")
    assert {row[1] for row in rows} == {0}
    assert all("calm" in row[0] for row in rows)
    assert lab.announced("refinements") == [batch.id, batch.id]
