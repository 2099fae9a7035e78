from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from grabient_ops.app import App
from grabient_ops.palettes.invented import invented_seeds
from grabient_ops.settings import Settings
from grabient_ops.store.palettes import NewPalette, add_palettes

if TYPE_CHECKING:
    from tests.images.conftest import Bucket

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def app(r2: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """An app with a bucket, told to show pictures by their address."""
    assert r2
    monkeypatch.setenv("GRABIENT_OPS_REFINEMENT_PICTURES", "url")
    made = App(Settings())
    yield made
    made.store.close()


def test_the_pipeline_publishes_the_pictures_that_it_will_show(app: App, bucket: "Bucket") -> None:
    shown, other = invented_seeds(2)
    with app.store.write() as connection:
        rows = [NewPalette(seed, "aligned", seed, "test") for seed in (shown, other)]
        add_palettes(connection, rows, NOW)

    app.services.publish_pictures([shown])

    assert bucket.puts == [f"palettes/{shown}.png"]
    assert app.services.picture_url(shown) == f"{bucket.url}/public/palettes/{shown}.png"


@pytest.mark.parametrize(
    ("address", "form"),
    [("https://pictures.example", "url"), ("http://pictures.example", "inline"), ("", "inline")],
)
def test_pictures_go_inline_unless_providers_can_fetch_them(
    app: App, monkeypatch: pytest.MonkeyPatch, address: str, form: str
) -> None:
    monkeypatch.setenv("R2_PUBLIC_URL", address)
    elsewhere = App(Settings())

    assert elsewhere.refinement_choice("claude-opus-4-5").pictures == form
    assert elsewhere.refinement_choice("openai/gpt-oss-20b").pictures is None
    elsewhere.store.close()
    assert app.settings.refinement_pictures == "url"
