import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from grabient_ops.errors import ConfigError
from grabient_ops.images.objects import PictureError, PictureStore, open_pictures
from grabient_ops.palettes.invented import invented_seeds
from grabient_ops.palettes.palette import InvalidSeedError
from grabient_ops.settings import Settings

if TYPE_CHECKING:
    from tests.images.conftest import Bucket, Opener

PLUS = "HQ+gBgzGDs$BGA+rMAOKA2eAmAnAzAKyJrwoAsoJyaIF0Q"
LONGEST = "Z" * 200
HOSTILE = [
    "", ".", "..", "../x", "a/../b", "a//b", "/etc/passwd", "a/b", "%41", "a%2Fb", "a b", "a\nb",
    "a\0b", "a.png", "a?b", "a#b", "ä", "凉", "a" * 201, "x" * 5000, "\ud800", "a\\b",
]  # fmt: skip


@pytest.mark.parametrize("seed", [PLUS, LONGEST, "-" * 20, "_" * 37, "a" * 20])
def test_a_picture_comes_back_as_it_was_put(pictures: PictureStore, seed: str) -> None:
    pictures.put({seed: b"\x89PNG picture"})

    assert pictures.get(seed) == b"\x89PNG picture"
    assert pictures.missing([seed, "B" * 20]) == ["B" * 20]


def test_what_was_never_put_is_missing(pictures: PictureStore) -> None:
    assert pictures.get("a" * 20) is None
    assert pictures.missing([PLUS, "a" * 20]) == [PLUS, "a" * 20]
    assert pictures.missing([]) == []


@pytest.mark.parametrize("count", [30, 600])
def test_few_or_many_are_looked_up_in_their_order(pictures: PictureStore, count: int) -> None:
    seeds = [PLUS, *invented_seeds(count)]
    there = seeds[::3]
    pictures.put(dict.fromkeys(there, b"picture"))

    assert pictures.missing(seeds) == [seed for seed in seeds if seed not in set(there)]


def test_a_long_list_is_read_page_by_page(in_bucket: PictureStore, bucket: "Bucket") -> None:
    seeds = invented_seeds(600)
    in_bucket.put(dict.fromkeys(seeds, b"picture"))
    bucket.page, bucket.lists = 250, 0

    assert in_bucket.missing([*seeds, PLUS]) == [PLUS]
    assert bucket.lists == 3


def test_an_empty_object_is_no_picture(pictures: PictureStore) -> None:
    seeds = invented_seeds(600)
    pictures.put({seeds[0]: b"", seeds[1]: b"picture"})

    assert pictures.missing(seeds[:2]) == [seeds[0]]
    assert pictures.missing(seeds) == [seeds[0], *seeds[2:]]


def test_the_key_is_the_seed_as_it_is(in_bucket: PictureStore, bucket: "Bucket") -> None:
    in_bucket.put({PLUS: b"picture"})

    assert in_bucket.key_of(PLUS) == f"palettes/{PLUS}.png"
    assert list(bucket.objects) == [f"palettes/{PLUS}.png"]


def test_a_picture_opens_at_its_url_although_the_seed_holds_a_plus(
    in_bucket: PictureStore, bucket: "Bucket"
) -> None:
    in_bucket.put({PLUS: b"picture"})

    url = in_bucket.url_of(PLUS)

    assert url is not None
    assert url.startswith(f"{bucket.url}/public/palettes/")
    assert re.fullmatch(r"[A-Za-z0-9:/.%_-]+", url), "nothing that a server could misread"
    with urlopen(url) as answer:  # noqa: S310 - loopback
        assert answer.read() == b"picture"


def test_a_picture_is_kept_with_its_type_and_for_long(
    in_bucket: PictureStore, bucket: "Bucket"
) -> None:
    in_bucket.put({PLUS: b"picture"})

    (headers,) = bucket.headers.values()
    assert headers["content-type"] == "image/png"
    assert headers["cache-control"] == "public, max-age=31536000, immutable"


def test_in_a_folder_the_key_is_the_path(home: Path) -> None:
    open_pictures(Settings()).put({PLUS: b"picture"})

    files = [path for path in home.rglob("*") if path.is_file()]
    assert files == [home / "pictures" / "palettes" / f"{PLUS}.png"]


def test_without_a_public_address_there_is_no_url() -> None:
    pictures = open_pictures(Settings())

    assert pictures.url_of(PLUS) is None
    assert not pictures.is_public


@pytest.mark.parametrize(
    ("base", "public"), [("https://pictures.example/", True), ("http://pictures.example", False)]
)
def test_only_what_is_at_https_can_be_fetched_by_providers(
    opened_with: "Opener", base: str, *, public: bool
) -> None:
    pictures = opened_with(r2_public_url=base)

    assert pictures.is_public is public
    assert pictures.url_of("a" * 20) == f"{base.rstrip('/')}/palettes/{'a' * 20}.png"


@pytest.mark.parametrize("seed", HOSTILE)
def test_what_no_seed_is_made_of_gets_no_key(pictures: PictureStore, seed: str) -> None:
    with pytest.raises(InvalidSeedError):
        pictures.key_of(seed)
    with pytest.raises(InvalidSeedError):
        pictures.put({seed: b"picture"})

    assert pictures.get(seed) is None
    assert pictures.missing([seed]) == [seed]


@pytest.mark.parametrize("base", ["pictures.example", "ftp://host", "https://", "/srv"])
def test_a_public_address_that_is_none_is_refused(opened_with: "Opener", base: str) -> None:
    with pytest.raises(ConfigError, match="R2_PUBLIC_URL"):
        opened_with(r2_public_url=base)


def test_a_signed_address_is_refused_and_not_repeated(opened_with: "Opener") -> None:
    with pytest.raises(ConfigError, match="R2_PUBLIC_URL") as raised:
        opened_with(r2_public_url="https://host/path?X-Amz-Signature=abc123")

    assert "abc123" not in str(raised.value)


@pytest.mark.parametrize("missing", ["R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY"])
def test_a_bucket_without_its_keys_names_what_is_missing(
    r2: dict[str, str], monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    assert missing in r2
    monkeypatch.delenv(missing)

    with pytest.raises(ConfigError, match=missing):
        open_pictures(Settings())


def test_without_an_endpoint_the_variables_of_amazon_count(
    bucket: "Bucket", r2: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("R2_ENDPOINT", "R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.url)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", r2["R2_ACCESS_KEY_ID"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", r2["R2_SECRET_ACCESS_KEY"])

    open_pictures(Settings()).put({PLUS: b"picture"})

    assert bucket.puts == [f"palettes/{PLUS}.png"]


@pytest.mark.parametrize("seeds", [[PLUS], invented_seeds(600)])
def test_a_missing_bucket_is_one_sentence(
    r2: dict[str, str], opened_with: "Opener", seeds: list[str]
) -> None:
    assert r2
    pictures = opened_with(r2_bucket="nowhere")

    with pytest.raises(PictureError) as raised:
        pictures.put(dict.fromkeys(pictures.missing(seeds), b"picture"))

    expected = "pictures cannot be kept in the bucket nowhere: there is no such bucket"
    assert str(raised.value) == expected


def test_wrong_keys_are_one_sentence_without_the_key(
    r2: dict[str, str], opened_with: "Opener"
) -> None:
    assert r2
    pictures = opened_with(r2_secret_access_key="key-of-a-thief")

    for attempt in (
        lambda: pictures.put({PLUS: b"picture"}),
        lambda: pictures.get(PLUS),
        lambda: pictures.missing([PLUS]),
        lambda: pictures.missing(invented_seeds(600)),
    ):
        with pytest.raises(PictureError, match="our keys are not allowed") as raised:
            attempt()
        assert "thief" not in str(raised.value)


def test_when_one_picture_is_refused_the_others_stay(
    in_bucket: PictureStore, bucket: "Bucket"
) -> None:
    seeds = invented_seeds(100)
    bucket.refuse_after = 40

    with pytest.raises(PictureError, match="EntityTooMean"):
        in_bucket.put(dict.fromkeys(seeds, b"picture"))

    assert len(in_bucket.missing(seeds)) == 60


def test_a_folder_that_cannot_be_made_is_one_sentence(home: Path) -> None:
    home.mkdir()
    (home / "pictures").write_text("in the way")

    with pytest.raises(PictureError, match="pictures cannot be made"):
        open_pictures(Settings())
