"""What the four providers allow: sizes, and which model ids they know, as of 2026-11-22."""

import re

MOST_REQUESTS = {"openai": 50_000, "groq": 50_000, "anthropic": 100_000, "google": 200_000}
"""Requests in one batch. Google states none; the number only bounds the sandbox."""

MEGABYTE = 1_000_000
MOST_BYTES = {
    "openai": 200 * MEGABYTE,
    "groq": 100 * MEGABYTE,
    "anthropic": 256 * MEGABYTE,
    "google": 2_000 * MEGABYTE,
}
"""Bytes of one input file (Anthropic: of one request body)."""

MOST_INLINE_BYTES = 20 * MEGABYTE
"""Bytes of a Gemini batch whose requests are inside the call."""

CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""Anthropic's rule for `custom_id`; use it with `fullmatch`."""

_FAMILIES = {
    "openai": r"(gpt-|chatgpt-|o\d|ft:gpt-)[\w.:-]*",
    "anthropic": r"claude-[\w.-]+",
    "google": r"(gemini-|gemma-)[\w.-]+",
    "groq": r"(openai/gpt-oss-|qwen/|groq/|deepseek-|mistral-|allam-)[\w./-]+",
}
_RETIRED = {
    "openai": r"gpt-4-vision.*|gpt-4-32k.*|o1-mini.*|o1-preview.*",
    "anthropic": r"claude-(instant|2|3|v1).*",
    "google": r"gemini-(1\.|2\.0-|pro).*",
    "groq": r"llama-.*|meta-llama/.*|moonshotai/kimi.*|qwen/qwen3-32b|mixtral-.*|gemma.*",
}
KNOWN = {
    "openai": (
        "gpt-6.2-astra", "gpt-6.2-sol", "gpt-6-sol", "gpt-6-luna", "gpt-5.5", "gpt-5.4",
        "gpt-5.4-mini", "gpt-5.4-nano", "gpt-5.2", "gpt-5", "gpt-5-mini", "gpt-5-nano",
        "gpt-4.1", "gpt-4.1-mini", "gpt-4o", "gpt-4o-mini",
    ),
    "anthropic": (
        "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-5",
        "claude-sonnet-5", "claude-opus-4-8", "claude-opus-4-7", "claude-opus-4-6",
        "claude-sonnet-4-6", "claude-opus-4-5-20251101", "claude-haiku-4-5-20251001",
    ),
    "google": (
        "gemini-3.8-flash", "gemini-3.5-flash-lite", "gemini-2.5-flash", "gemini-2.5-flash-lite",
    ),
    "groq": ("openai/gpt-oss-120b", "openai/gpt-oss-20b", "qwen/qwen3.8-27b", "qwen/qwen3.6-27b"),
}  # fmt: skip
"""What the model lists show; a batch may ask any other id of the same family as well."""

_DATED = {
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
    "gpt-5-nano": "gpt-5-nano-2025-08-07",
    "gpt-5.4-nano": "gpt-5.4-nano-2026-03-17",
    "gpt-5.4-mini": "gpt-5.4-mini-2026-03-17",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
    "claude-opus-4-5": "claude-opus-4-5-20251101",
}

MOST_PICTURE_BYTES = {
    "openai": 50 * MEGABYTE,
    "groq": 4 * MEGABYTE,
    "anthropic": 5 * 1024 * 1024,
    "google": 20 * MEGABYTE,
}
"""Length of one picture inside a request, in base64."""

_PICTURE_TOKENS = (
    (r"claude-", 435),  # patches of 28 pixels
    (r"gemini-2", 2064),  # tiles of 258
    (r"gemini-|gemma-", 1120),
    (r"gpt-4o-mini", 2833),  # at detail "low"
    (r"(gpt|o\d).*-nano", 800),  # patches of 32 pixels, times 2.46
    (r"(gpt|o\d).*-mini", 527),  # the same, times 1.62
    (r"qwen/", 435),
    (r"", 1024),
)
"""What a picture of 800 x 400 pixels costs, by the beginning of the model's id."""

_BLIND = {"openai": r"gpt-3.*|gpt-4(-\d.*)?|o3-mini.*", "groq": r"(?!qwen/qwen3\.8-27b).*"}
_ADAPTIVE = re.compile(r"claude-(opus|sonnet|haiku)-(4-[6-9]|[5-9])")
_REASONING = re.compile(r"(gpt-[5-9]|o\d)")
_GROQ_REASONING = re.compile(r"openai/gpt-oss-|qwen/")


def is_retired(provider: str, model: str) -> bool:
    """Whether the provider once had this model."""
    return re.fullmatch(_RETIRED[provider], model) is not None


def is_known(provider: str, model: str) -> bool:
    """Whether the provider would run this model."""
    return re.fullmatch(_FAMILIES[provider], model) is not None and not is_retired(provider, model)


def is_listed(provider: str, model: str) -> bool:
    """Whether the model lists show this model; its alias or its dated id will do."""
    return dated(model) in map(dated, KNOWN[provider])


def dated(model: str) -> str:
    """Return the id under which the provider says this model has answered."""
    return _DATED.get(model, model)


def refuses_sampling(model: str) -> bool:
    """Whether an OpenAI model takes no temperature but 1 and no `max_tokens`."""
    return _REASONING.match(model) is not None


def reasons(model: str) -> bool:
    """Whether answers of this OpenAI or Groq model cost reasoning tokens."""
    return refuses_sampling(model) or _GROQ_REASONING.match(model) is not None


def sees(provider: str, model: str) -> bool:
    """Whether a model of OpenAI or Groq takes pictures; all of the others do."""
    return re.fullmatch(_BLIND[provider], model) is None


def picture_tokens(model: str) -> int:
    """Tokens of one picture; every picture is taken for one of 800 x 400 pixels."""
    return next(tokens for ids, tokens in _PICTURE_TOKENS if re.match(ids, model))


def thinks_adaptively(model: str) -> bool:
    """Whether a Claude model decides by itself how much it thinks; older ones need a budget."""
    return _ADAPTIVE.match(model) is not None
