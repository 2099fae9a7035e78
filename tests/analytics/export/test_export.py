"""A copy of the lake in a folder or a bucket: whole, only what is new, whatever cut it off."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grabient_ops.analytics.answers import Answer
from grabient_ops.analytics.export import Export, ExportError, export
from grabient_ops.analytics.lake import open_lake
from grabient_ops.analytics.manifest import DictionaryFile, Manifest, read_manifest, write_manifest
from grabient_ops.analytics.warehouse import EmptyLakeError, open_warehouse
from grabient_ops.settings import Settings
from tests.analytics.export.conftest import Bucket


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    grow(folder, 1)
    return folder


def grow(lake: Path, first: int) -> None:
    """Publish a generation with three answers more."""
    with open_lake(lake) as writer:
        writer.add(
            Answer(
                response_id=number,
                seed="HQJgHgHqAsC0BsUqjHAP4BGEOJYA",
                provider="openai",
                model=f"model-{number}",
                run_number=1,
                prompt_version="abc",
                attempt=1,
                batch_id=f"batch-{first}",
                tags='{"mood": ["凉", "calm"]}',
            )
            for number in range(first, first + 3)
        )
        writer.publish()


def rebuild(lake: Path) -> None:
    """Publish a generation without any file of the former one."""
    with open_lake(lake, rebuild=True) as writer:
        writer.publish()
    grow(lake, 50)


def count(lake: Path) -> int:
    with open_warehouse(lake) as warehouse:
        ((rows,),) = warehouse.connection.execute("SELECT count(*) FROM votes").fetchall()
        return int(rows)


def files(lake: Path) -> set[str]:
    manifest = read_manifest(lake)
    assert manifest
    return set(manifest.files())


def test_a_folder_becomes_a_lake_with_the_same_answers(lake: Path, tmp_path: Path) -> None:
    target = tmp_path / "some" / "where"
    seen: list[tuple[int, int]] = []

    done = export(lake, str(target), Settings(), on_progress=lambda *now: seen.append(now))

    size = sum((lake / name).stat().st_size for name in files(lake))
    assert done == Export(generation=1, copied=len(files(lake)), kept=0, removed=0, bytes=size)
    assert {path.name for path in target.iterdir()} == files(lake) | {"manifest.json"}
    assert count(target) == count(lake) == 6
    assert seen[-1] == (size, size)


def test_the_second_export_copies_only_what_is_new(lake: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    first = export(lake, str(target), Settings())

    same = export(lake, str(target), Settings())
    grow(lake, 10)
    more = export(lake, str(target), Settings())

    assert (same.copied, same.kept, same.removed, same.bytes) == (0, first.copied, 0, 0)
    assert more.generation == 2
    assert 0 < more.copied == len(files(lake)) - more.kept
    assert more.kept > 0
    assert count(target) == 12


def test_files_of_a_former_generation_go_and_those_of_others_stay(
    lake: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    export(lake, str(target), Settings())
    (target / "notes.parquet").write_text("not ours")
    before = files(target)

    rebuild(lake)
    done = export(lake, str(target), Settings())

    assert done.removed == len(before)
    names = {path.name for path in target.iterdir()}
    assert names == files(lake) | {"manifest.json", "notes.parquet"}
    assert count(target) == 6


def test_a_damaged_copy_is_copied_again(lake: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    export(lake, str(target), Settings())
    damaged = min(files(lake))
    (target / damaged).write_bytes(b"PAR1")

    done = export(lake, str(target), Settings())

    assert (done.copied, done.removed) == (1, 0)
    assert (target / damaged).read_bytes() == (lake / damaged).read_bytes()


def test_a_bucket_gets_the_files_first_and_the_manifest_after_them(
    lake: Path, bucket: type[Bucket], r2: Settings
) -> None:
    export(lake, "s3://lakes/a b/凉", r2)
    former = files(lake)
    bucket.writes.clear()
    rebuild(lake)

    done = export(lake, "s3://lakes/a b/凉", r2)

    prefix = "a b/凉/"
    puts = [key for key in bucket.writes if not key.startswith("-")]
    deletions = bucket.writes[len(puts) :]
    assert set(puts[:-1]) == {prefix + name for name in files(lake)}
    assert puts[-1] == f"{prefix}manifest.json"
    assert set(deletions) == {f"-{prefix}{name}" for name in former}
    assert (done.copied, done.removed) == (len(files(lake)), len(former))
    assert bucket.objects.keys() == {*puts}


def test_what_a_bucket_holds_is_a_lake(
    lake: Path, tmp_path: Path, bucket: type[Bucket], r2: Settings
) -> None:
    export(lake, "s3://lakes", r2)

    again = export(lake, "s3://lakes", r2)

    assert again.copied == 0
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    for key, content in bucket.objects.items():
        (fetched / key).write_bytes(content)
    assert count(fetched) == 6


def test_a_large_file_arrives_whole(tmp_path: Path, bucket: type[Bucket], r2: Settings) -> None:
    name, content = "tags-000001-abcdef.parquet", os.urandom(12_000_000)
    (tmp_path / name).write_bytes(content)
    part = DictionaryFile(file=name, rows=1)
    write_manifest(tmp_path, Manifest(generation=1, dictionaries={"tags": [part]}))

    done = export(tmp_path, "s3://lakes", r2)

    assert bucket.objects[name] == content
    assert len(bucket.parts) > 1
    assert done.bytes == len(content)


def test_without_r2_the_variables_of_amazon_count(
    lake: Path, bucket: type[Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.url)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-name")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "key-of-the-house")

    export(lake, "s3://lakes/lake", Settings())

    assert bucket.objects.keys() == {f"lake/{name}" for name in files(lake) | {"manifest.json"}}


def test_a_missing_bucket_is_one_sentence_without_keys(lake: Path, r2: Settings) -> None:
    with pytest.raises(ExportError) as raised:
        export(lake, "s3://nowhere/lake", r2)

    assert "s3://nowhere/lake" in str(raised.value)
    assert "NoSuchBucket" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "key-of-the-house" not in str(raised.value)


@pytest.mark.parametrize("target", ["gs://bucket/lake", "s3://", "https://host/lake"])
def test_other_addresses_are_refused(lake: Path, target: str) -> None:
    with pytest.raises(ExportError, match="neither a folder nor an address"):
        export(lake, target, Settings())


def test_a_folder_that_cannot_be_made_is_one_sentence(lake: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ExportError, match="cannot export to"):
        export(lake, str(tmp_path / "file" / "target"), Settings())


def test_a_lake_is_not_exported_into_itself(lake: Path) -> None:
    with pytest.raises(ExportError, match="the lake itself"):
        export(lake, f"{lake}/../lake", Settings())


def test_before_the_first_sync_there_is_nothing_to_export(tmp_path: Path) -> None:
    with pytest.raises(EmptyLakeError):
        export(tmp_path / "lake", str(tmp_path / "target"), Settings())


def test_a_file_that_vanishes_meanwhile_leaves_the_former_generation(
    lake: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    export(lake, str(target), Settings())
    former = (target / "manifest.json").read_bytes()
    grow(lake, 10)
    (lake / max(files(lake) - files(target))).unlink()

    with pytest.raises(ExportError, match="run it again"):
        export(lake, str(target), Settings())

    assert (target / "manifest.json").read_bytes() == former
    assert count(target) == 6


def test_an_export_killed_at_any_moment_is_completed_by_the_next(
    lake: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    script = (
        "import sys; from pathlib import Path; from grabient_ops.analytics.export import export;"
        "from grabient_ops.settings import Settings; print(flush=True);"
        "export(Path(sys.argv[1]), sys.argv[2], Settings())"
    )
    grow(lake, 10)
    for delay_ms in (0, 2, 4, 8):
        rebuild(lake)
        with subprocess.Popen(
            [sys.executable, "-c", script, str(lake), str(target)], stdout=subprocess.PIPE
        ) as exporter:
            assert exporter.stdout
            exporter.stdout.read(1)
            time.sleep(delay_ms / 1000)
            exporter.kill()
        if (target / "manifest.json").exists():
            assert count(target) == 6

        export(lake, str(target), Settings())

        assert count(target) == 6
        left = {path.name for path in target.iterdir() if "#" not in path.name}
        assert left == files(lake) | {"manifest.json"}
