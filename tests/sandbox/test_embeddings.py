import numpy as np
import pytest
from openai import BadRequestError, OpenAI

from benchmarks.arena import Sandbox


@pytest.fixture
def client(shared_sandbox: Sandbox) -> OpenAI:
    return OpenAI(api_key="key", base_url=f"{shared_sandbox.url}/v1", max_retries=0)


def test_the_sdk_gets_vectors_in_either_encoding(client: OpenAI) -> None:
    texts = ["calm sea", "sea calm", "fire"]
    usual = client.embeddings.create(model="m", input=texts)
    plain = client.embeddings.create(model="m", input=texts, encoding_format="float")
    vectors = {item.index: np.array(item.embedding) for item in usual.data}

    assert usual.usage.total_tokens == 5
    for item in plain.data:
        np.testing.assert_allclose(vectors[item.index], item.embedding, atol=1e-6)
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)
    assert vectors[0] @ vectors[2] < 0.9


@pytest.mark.parametrize("texts", ["", [], ["a", ""], ["x"] * 2049])
def test_what_openai_refuses_is_refused(client: OpenAI, texts: str | list[str]) -> None:
    with pytest.raises(BadRequestError, match="input"):
        client.embeddings.create(model="m", input=texts)
