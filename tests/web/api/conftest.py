from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from benchmarks.postgres import store_url
from grabient_ops.app import App
from grabient_ops.settings import Settings
from grabient_ops.store.batches import list_batches
from grabient_ops.web.app import create_web
from grabient_ops.web.auth.credentials import add_token
from grabient_ops.web.security.policy import LOCAL, Policy
from tests.web.conftest import SEEDS, Shelf

HERE = "http://127.0.0.1:4100/api/v1"


class Api(NamedTuple):
    """The API of a home with something of everything in it, as a program with a token sees it."""

    client: TestClient
    shelf: Shelf
    batch: str

    def address(self, path: str) -> str:
        """Fill a path with what the home holds."""
        names = {"seed": quote(SEEDS[0], safe=""), "batch": self.batch}
        return path.format(**names, prompt=self.shelf.version)

    def get(self, path: str, status: int = 200, **query: Any) -> Any:  # noqa: ANN401 - any JSON
        """Read something."""
        answer = self.client.get(self.address(path), params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, path: str, content: object = None, status: int = 200, key: str = "") -> Any:  # noqa: ANN401 - any JSON
        """Change something; `key` is an idempotency key."""
        headers = {"idempotency-key": key} if key else {}
        answer = self.client.post(self.address(path), json=content, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()


def open_api(home: Path, policy: Policy = LOCAL) -> Iterator[Api]:
    """Fill a home, and serve its API."""
    settings = Settings(home=home, database_url=store_url(home))
    app = App(settings.model_copy(update={"groq_api_key": SecretStr("sandbox")}))
    shelf = Shelf(app)
    shelf.fill()
    with app.store.read() as connection:
        (batch,) = list_batches(connection, states=["waiting"])
    shelf.update(batch.id, provider_batch_id="batch-of-groq")
    token = add_token(home, "tests")
    web = create_web(app, policy=policy)
    client = TestClient(web, HERE, headers={"authorization": f"Bearer {token}"})
    yield Api(client, shelf, batch.id)
    app.store.close()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """A home of its own, for a test that changes it."""
    yield from open_api(tmp_path)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A home that is only read."""
    yield from open_api(tmp_path_factory.mktemp("library"))
