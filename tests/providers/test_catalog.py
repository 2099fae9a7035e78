from datetime import date
from pathlib import Path

import pytest

from grabient_ops.errors import ConfigError
from grabient_ops.providers.catalog import Catalog, load_catalog
from grabient_ops.tagging.usage import Usage

TODAY = date(2026, 11, 22)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def overlay(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "models.toml"
    path.write_text(text)
    return path


def test_a_default_pass_asks_ten_living_models(catalog: Catalog) -> None:
    defaults = catalog.defaults()

    assert len(defaults) == 10
    assert {model.provider for model in defaults} == {"openai", "anthropic", "google", "groq"}
    assert "retired" not in {model.status(TODAY) for model in defaults}


def test_every_neighbour_is_a_model_of_the_same_provider_that_lives_longer(
    catalog: Catalog,
) -> None:
    with_neighbour = [model for model in catalog.models if model.neighbour]

    for model in with_neighbour:
        neighbour = catalog.get(model.provider, str(model.neighbour))
        assert (neighbour.retires_on or date.max) > (model.retires_on or date.min)


def test_every_retired_model_names_a_neighbour(catalog: Catalog) -> None:
    assert all(model.neighbour for model in catalog.models if model.retires_on)


def test_a_batch_is_never_dearer_than_the_ordinary_api(catalog: Catalog) -> None:
    usage = Usage(input_tokens=1_000, output_tokens=300, cached_tokens=400)

    for model in catalog.models:
        assert model.prices is not None
        assert 0 < model.prices.batch_usd(usage) < model.prices.standard_usd(usage)


def test_cached_input_has_its_own_price(catalog: Catalog) -> None:
    prices = catalog.find("claude-haiku-4-5-20251001").prices

    assert prices is not None
    assert prices.batch_usd(Usage(1_000_000, 1_000_000, 1_000_000)) == pytest.approx(2.55)
    assert prices.standard_usd(Usage(1_000_000, 0, 250_000)) == pytest.approx(0.775)


def test_models_that_refuse_a_temperature_get_none(catalog: Catalog) -> None:
    refusing = [model for model in catalog.models if model.id.startswith(("gpt-5", "gpt-6"))]

    assert len(refusing) >= 5
    assert {model.temperature for model in refusing} == {None}
    assert catalog.find("claude-haiku-5-5").temperature is None


def test_temperatures_follow_each_providers_scale(catalog: Catalog) -> None:
    assert catalog.find("gpt-4o-mini").temperature == 1.6
    assert catalog.find("claude-haiku-4-5-20251001").temperature == 0.8


def test_batches_stay_below_the_providers_limits(catalog: Catalog) -> None:
    most = {
        "openai": (50_000, 200_000_000),
        "anthropic": (100_000, 256_000_000),
        "google": (50_000, 2_000_000_000),
        "groq": (50_000, 100_000_000),
    }

    for model in catalog.models:
        requests, size = most[model.provider]
        assert model.batch_requests < requests
        assert model.batch_bytes < size


@pytest.mark.parametrize("name", ["openai/gpt-oss-20b", "groq/openai/gpt-oss-20b"])
def test_a_model_is_found_by_its_id_alone_or_with_its_provider(catalog: Catalog, name: str) -> None:
    assert catalog.find(name) is catalog.get("groq", "openai/gpt-oss-20b")


def test_a_misspelt_model_is_answered_with_close_ones(catalog: Catalog) -> None:
    with pytest.raises(ConfigError, match=r"'gpt4o-mini'; did you mean openai/gpt-4o-mini"):
        catalog.find("gpt4o-mini")


def test_a_name_like_nothing_is_answered_with_the_command_that_lists(catalog: Catalog) -> None:
    with pytest.raises(ConfigError, match="see `models list`"):
        catalog.find("☃")


def test_get_does_not_take_one_providers_id_for_anothers(catalog: Catalog) -> None:
    with pytest.raises(ConfigError, match="openai/gpt-oss-20b"):
        catalog.get("openai", "gpt-oss-20b")


def test_a_name_of_two_models_must_be_made_plain(tmp_path: Path) -> None:
    catalog = load_catalog(
        overlay(tmp_path, '[[models]]\nprovider = "groq"\nid = "gpt-4o-mini"\nsource = "mine"\n')
    )

    with pytest.raises(ConfigError, match=r"write openai/gpt-4o-mini or groq/gpt-4o-mini"):
        catalog.find("gpt-4o-mini")


def test_a_retired_model_is_refused_with_its_neighbour(catalog: Catalog) -> None:
    retired = catalog.find("qwen/qwen3-32b")

    with pytest.raises(ConfigError, match=r"retired on 2026-07-17; use openai/gpt-oss-120b"):
        catalog.require_living(retired, TODAY)
    catalog.require_living(retired, date(2026, 7, 16))


def test_the_status_turns_on_the_day_itself(catalog: Catalog) -> None:
    model = catalog.find("gpt-5-nano")

    assert model.status(date(2026, 12, 10)) == "retiring"
    assert model.status(date(2026, 12, 11)) == "retired"
    assert catalog.find("gpt-6-luna").status(date(2030, 1, 1)) == "active"


def test_an_operator_overrides_single_fields(tmp_path: Path) -> None:
    catalog = load_catalog(
        overlay(
            tmp_path,
            """
            [defaults.openai]
            batch_requests = 77
            [[models]]
            provider = "openai"
            id = "gpt-4o-mini"
            retires_on = false
            temperature = 1
            prices = { batch_output = 9.5 }
            """,
        )
    )

    model = catalog.find("gpt-4o-mini")
    assert model.prices is not None
    assert (model.retires_on, model.temperature, model.batch_requests) == (None, 1.0, 77)
    assert (model.prices.batch_output, model.prices.batch_input) == (9.5, 0.075)
    assert model.default
    assert len(catalog.models) == len(load_catalog().models)


def test_an_operator_adds_a_model_on_the_providers_defaults(tmp_path: Path) -> None:
    catalog = load_catalog(
        overlay(tmp_path, '[[models]]\nprovider = "openai"\nid = "gpt-7"\nsource = "mail"\n')
    )

    model = catalog.find("gpt-7")
    assert model.max_tokens_parameter == "max_completion_tokens"
    assert not model.default
    assert model.prices is None


def test_a_missing_operators_file_is_no_error(tmp_path: Path) -> None:
    assert load_catalog(tmp_path / "models.toml").models == load_catalog().models


MODEL = '[[models]]\nprovider = "openai"\nid = "gpt-4o-mini"\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[models]", "models.toml is not TOML"),
        ("\xff", "models.toml"),
        ("[[model]]", "model is neither `defaults` nor `models`"),
        ("models = 3", r"write each model as \[\[models\]\]"),
        ("defaults = [1]", r"write defaults as \[defaults"),
        ('[[models]]\nid = "x"', "model number 1 needs a provider and an id"),
        (MODEL + "temprature = 1", "openai/gpt-4o-mini: temprature .* did you mean temperature"),
        (MODEL + "prices = { inputs = 1 }", r"prices\.inputs is no field .* did you mean input"),
        (MODEL + 'temperature = "hot"', r"openai/gpt-4o-mini: .*temperature"),
        (MODEL + "temperature = 3", r"<= 2.*temperature"),
        (MODEL + "batch_requests = 0", r">= 1.*batch_requests"),
        (MODEL + "prices = { input = -1 }", r">= 0.*prices\.input"),
        (MODEL + 'structured_output = "xml"', "structured_output"),
        (MODEL + 'retires_on = "soon"', "retires_on"),
        ('[[models]]\nprovider = "openai"\nid = "gpt-7"', "source"),
        ('[[models]]\nprovider = "acme"\nid = "x"', "acme/x"),
    ],
)
def test_a_wrong_file_is_refused_with_the_model_and_the_field(
    tmp_path: Path, text: str, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load_catalog(overlay(tmp_path, text))
