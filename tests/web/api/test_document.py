from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from grabient_ops.app import App
from grabient_ops.store.tables import metadata
from tests.web.api.conftest import HERE, Api

CHANGES = [
    ("/batches/{batch}/cancel", None), ("/workflows/{batch}/cancel", None),
    ("/workflows/{batch}/resume", None), ("/workflows/{batch}/restart", {}),
    ("/errors/retry", {}), ("/prompts", {"content": "x", "message": "y"}),
    ("/prompts/{prompt}/use", {}), ("/tagging", {}), ("/refinement", {}), ("/budgets", {"usd": 1}),
    ("/sql", {"sql": "SELECT 1"}),
]  # fmt: skip


def test_the_document_names_the_token_and_every_refusal(library: Api) -> None:
    document = library.client.get("http://127.0.0.1/openapi.json").json()

    operations = [op for methods in document["paths"].values() for op in methods.values()]
    assert document["info"]["title"] == "grabient-ops"
    assert all(operation["security"] == [{"HTTPBearer": []}] for operation in operations)
    assert all({"400", "401", "422", "503"} <= set(op["responses"]) for op in operations)
    assert all(op.get("summary") and op.get("description") for op in operations)
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)


def test_the_document_describes_every_answer(library: Api) -> None:
    document = library.client.get("http://127.0.0.1/openapi.json").json()
    answers = [
        next(
            answer["content"]["application/json"]["schema"]
            for status, answer in operation["responses"].items()
            if status.startswith("2")
        )
        for methods in document["paths"].values()
        for operation in methods.values()
    ]

    assert all(answer.get("$ref") or answer.get("items") for answer in answers)


@pytest.mark.parametrize(("path", "content"), CHANGES)
@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"cookie": "a=b"}])
def test_nothing_changes_without_a_token(
    library: Api, path: str, content: object, headers: dict[str, str]
) -> None:
    stranger = TestClient(library.client.app, HERE)
    before = _dump(library.shelf.app)

    answer = stranger.post(library.address(path), json=content, headers=headers)

    assert answer.status_code == 401
    assert _dump(library.shelf.app) == before


def _dump(app: App) -> list[Any]:
    with app.store.read() as connection:
        return [connection.execute(sa.select(table)).all() for table in metadata.sorted_tables]


def test_every_change_of_the_document_is_tried_without_a_token(library: Api) -> None:
    paths = library.client.get("http://127.0.0.1/openapi.json").json()["paths"]
    changing = {path for path, methods in paths.items() if "post" in methods}

    tried = {"/api/v1" + path.format(batch="{id}", prompt="{id}") for path, _ in CHANGES}

    assert changing == tried
