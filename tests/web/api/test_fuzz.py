"""Random requests, made from the API's own document."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from grabient_ops.web.api.build import add_api
from grabient_ops.web.security.policy import Policy
from tests.web.api.conftest import Api, open_api
from tests.web.conftest import SEEDS

if TYPE_CHECKING:
    from grabient_ops.web.api.replays import Replays


def _operations() -> dict[str, APIOperation[Any, Any, Any, Any]]:
    web = FastAPI()
    add_api(web, cast("Replays", None))
    found = schemathesis.openapi.from_dict(web.openapi()).get_all_operations()
    return {result.ok().label: result.ok() for result in found if isinstance(result, Ok)}


OPERATIONS = _operations()
_CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance,
    response_schema_conformance,
]  # fmt: skip
_LITTLE = settings(
    max_examples=6, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A home that may be changed by anything."""
    any_name = Policy(None, is_exposed=False)
    yield from open_api(tmp_path_factory.mktemp("target"), any_name)


@pytest.mark.parametrize("label", OPERATIONS)
@_LITTLE
@given(data=st.data())
def test_nothing_that_is_sent_breaks_it(target: Api, label: str, data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from(GenerationMode))
    case: Case[Any] = data.draw(OPERATIONS[label].as_strategy(generation_mode=mode))
    case.headers.update({"authorization": target.client.headers["authorization"]})
    known = {"seed": SEEDS[0], "id": target.batch, "old": target.shelf.version}
    if data.draw(st.booleans()):
        case.path_parameters.update({n: v for n, v in known.items() if n in case.path_parameters})

    case.call_and_validate(app=target.client.app, checks=_CHECKS)
