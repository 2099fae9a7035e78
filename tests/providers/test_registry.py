import subprocess
import sys

import pytest

from grabient_ops.errors import ConfigError
from grabient_ops.providers.base import PROVIDERS, ProviderName
from grabient_ops.providers.registry import KEY_VARIABLES, build_provider

SDKS = ("openai", "anthropic", "google.genai", "groq", "httpx", "httpx2")


def loaded_sdks(code: str) -> set[str]:
    program = f"import sys; {code}; print(*(name for name in {SDKS} if name in sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50
    )
    return set(run.stdout.split())


def test_catalog_and_registry_load_no_sdk() -> None:
    code = "from grabient_ops.providers import base, catalog, registry; catalog.load_catalog()"

    assert loaded_sdks(code) == set()


def test_building_a_provider_loads_its_sdk_only() -> None:
    code = (
        "from grabient_ops.providers.registry import build_provider;"
        "build_provider('groq', api_key='k', base_url='http://127.0.0.1:9')"
    )

    assert loaded_sdks(code) == {"groq", "httpx"}


def test_every_provider_has_a_key_variable() -> None:
    assert tuple(KEY_VARIABLES) == PROVIDERS


@pytest.mark.parametrize("key", ["", "clé", "two words", "line\nbreak", "tab\t"])
@pytest.mark.parametrize("name", PROVIDERS)
def test_a_key_that_no_header_can_carry_is_refused_by_its_variable(
    name: ProviderName, key: str
) -> None:
    with pytest.raises(ConfigError, match=KEY_VARIABLES[name][0]) as caught:
        build_provider(name, api_key=key, base_url=None)

    assert key not in str(caught.value) or not key
