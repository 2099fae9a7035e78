import json
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from benchmarks.arena import Home, Sandbox, kill_hard
from benchmarks.postgres import store_url
from grabient_ops.store.engine import open_store
from grabient_ops.store.tables import palette_tags
from tests.importers.conftest import SEEDS, Convex, Deployment, convex_documents, insert, patch

if TYPE_CHECKING:
    from tests.cli.conftest import Ops


@pytest.fixture
def deployment(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    monkeypatch.setenv("CONVEX_DEPLOY_KEY", "prod:happy|secret-of-convex")
    deployment = Deployment(sandbox)
    deployment.fill(convex_documents())
    return deployment


def _until(condition: Callable[[], object], seconds: float = 20) -> float:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds
        time.sleep(0.02)
    return time.monotonic() - started


def test_a_deployment_is_mirrored_and_analysed_apart(deployment: Deployment, ops: "Ops") -> None:
    deployment.set(sync_page=3)
    report = ops("sync", "convex", deployment.url, "--json").json()
    assert (report["source"], report["read"], report["refused"]) == ("convex", 12, [])
    assert (report["pages"], report["removed"], report["to_push"]) == (5, 0, 0)

    found = ops("analytics", "consensus", SEEDS[0], "--source", "convex", "--json").json()
    assert {tag["tag"] for tag in found["tags"] if tag["category"] == "mood"} == {"calm", "凉"}
    nothing = ops("analytics", "consensus", SEEDS[0], "--source", "own")
    assert nothing.code == 1
    assert nothing.err == "error: no answer is from own; there are convex\n"
    assert ops("analytics", "consensus", SEEDS[0], "--source", "moon").code == 2


def test_what_is_gone_there_is_said_to_be_gone_here(deployment: Deployment, ops: "Ops") -> None:
    ops("sync", "convex", deployment.url)
    deployment.commit({"delete": deployment.documents("palette_tags")[0]["_id"]})

    ran = ops("sync", "convex", deployment.url)

    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == ["palette_tags: 1 removed, as there", "1 pages read"]


def test_a_mirror_is_verified_against_a_fresh_reading(
    deployment: Deployment, ops: "Ops", home: Path
) -> None:
    early = ops("sync", "convex", deployment.url, "--verify")
    assert early.code == 1
    assert "is not whole yet" in early.err
    ops("sync", "convex", deployment.url)
    whole = ops("sync", "convex", deployment.url, "--verify")
    assert (whole.code, whole.err) == (0, "")
    assert "palette_tags: 3 there: 0 missing, 0 different, 0 extra" in whole.out.splitlines()
    lost = deployment.documents("palette_tags")[0]["_id"]
    with closing(open_store(store_url(home))) as store, store.write() as connection:
        connection.execute(sa.delete(palette_tags).where(palette_tags.c.source_id == lost))

    ran = ops("sync", "convex", deployment.url, "--verify")
    report = ops("sync", "convex", deployment.url, "--verify", "--json")

    assert (ran.code, report.code) == (1, 1)
    assert f"  missing: {lost}" in ran.out.splitlines()
    found = json.loads(report.out)
    assert (found["equal"], found["tables"]["palette_tags"]["missing"]) == (False, 1)
    assert found["tables"]["palette_tags"]["examples"] == {"missing": [lost]}
    assert found["tables"]["palettes"]["missing"] == 0
    # It has mended nothing; reading everything again does.
    ops("sync", "convex", deployment.url)
    assert ops("sync", "convex", deployment.url, "--verify").code == 1
    ops("sync", "convex", deployment.url, "--again")
    assert ops("sync", "convex", deployment.url, "--verify").code == 0


@pytest.mark.parametrize("option", ["--follow", "--again", "--moved", "--dry-run"])
def test_verifying_goes_with_nothing_else(deployment: Deployment, ops: "Ops", option: str) -> None:
    assert ops("sync", "convex", deployment.url, "--verify", option).code == 2


def test_a_dry_run_reads_all_and_stores_nothing(deployment: Deployment, ops: "Ops") -> None:
    first = ops("sync", "convex", deployment.url, "--dry-run", "--json").json()
    again = ops("sync", "convex", deployment.url, "--dry-run", "--json").json()

    assert first["dry_run"] is True
    assert first["imported"] == again["imported"] > 0
    assert ops("sync", "convex", deployment.url, "--dry-run", "--follow").code == 2


def test_a_key_that_is_missing_or_wrong_is_one_line_without_the_key(
    deployment: Deployment, ops: "Ops", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVEX_DEPLOY_KEY", "invalid-secret")
    refused = ops("sync", "convex", deployment.url)
    assert refused.code == 1
    assert refused.err.startswith("error: convex: BadAdminKey: The provided deploy key was invalid")
    monkeypatch.delenv("CONVEX_DEPLOY_KEY")
    assert ops("sync", "convex", deployment.url).err == "error: CONVEX_DEPLOY_KEY is not set\n"
    assert ops("sync", "convex", "ftp://x").code == 1


@pytest.mark.parametrize("key", ["prod:happy|secret\n", "prod:happy|s\u00e9cret"])
def test_a_key_that_no_header_can_hold_is_not_shown(
    deployment: Deployment, ops: "Ops", monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("CONVEX_DEPLOY_KEY", key)

    assert ops("sync", "convex", deployment.url).err == (
        "error: CONVEX_DEPLOY_KEY holds a character that no key has; set it again\n"
    )


def test_an_export_cannot_overwrite_what_is_followed(
    deployment: Deployment, ops: "Ops", tmp_path: Path
) -> None:
    export = str(Convex(convex_documents()).write(tmp_path / "snapshot.zip"))
    ops("sync", "convex", deployment.url)

    ran = ops("import", "convex", export)

    assert ran.code == 1
    assert ran.err.startswith("error: this home follows a Convex deployment")


def test_a_follower_brings_changes_into_the_warehouse_and_ends_politely(
    sandbox: Sandbox, deployment: Deployment, tmp_path: Path
) -> None:
    home = Home(tmp_path / "followed", sandbox.env)
    follower = home.start("sync", "convex", deployment.url, "--follow", "--json")
    try:
        _until((home.path / "lake" / "manifest.json").exists)
        refused = home.run("sync", "convex", deployment.url, fails=True)
        assert refused.startswith("error: another process follows Convex for")
        document = deployment.documents("palette_tags")[0]["_id"]
        deployment.commit(patch(document, tags={"mood": ["new mood"]}))
        changed = "SELECT 1 FROM palette_tags WHERE CAST(tags AS TEXT) LIKE '%%new mood%%'"
        _until(lambda: home.rows(changed))
        follower.send_signal(signal.SIGTERM)
        out, errors = follower.communicate(timeout=60)
    finally:
        if follower.poll() is None:
            kill_hard(follower)

    assert (follower.returncode, errors) == (0, "")
    assert '"updated": ' in out
    table = home.json("analytics", "sql", "SELECT DISTINCT tag FROM votes WHERE source = 'convex'")
    assert ["new mood"] in table["rows"]


def test_a_deployment_that_is_away_is_waited_for(
    sandbox: Sandbox, deployment: Deployment, ops: "Ops"
) -> None:
    sandbox.faults(unavailable=0.4, server_error=0.2, convex_cut=0.2)
    deployment.set(sync_page=2)

    report = ops("sync", "convex", deployment.url, "--json").json()

    assert report["imported"] + report["updated"] == 12


def test_interrupted_while_it_waits_it_exits_130(
    sandbox: Sandbox, deployment: Deployment, tmp_path: Path
) -> None:
    home = Home(tmp_path / "followed", sandbox.env)
    follower = home.start("sync", "convex", deployment.url, "--follow")
    try:
        _until((home.path / "lake" / "manifest.json").exists)
        deployment.commit(insert("palettes", {"seed": SEEDS[0]}))
        follower.send_signal(signal.SIGINT)
        follower.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        kill_hard(follower)
    assert follower.returncode == 130
