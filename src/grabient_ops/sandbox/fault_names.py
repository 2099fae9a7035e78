"""What can go wrong on purpose, by name; plain data, so that `--help` can show it at once."""

from collections.abc import Mapping

CALL_FAULTS: Mapping[str, str] = {
    "rate_limit": "any call: 429 with retry-after: 1, nothing done",
    "server_error": "any call: 500, nothing done",
    "unavailable": "any call: 503, nothing done",
    "slow": "any call: done at once, but the answer comes 2 s late",
    "truncated_download": "results: half of the announced bytes, then the connection closes",
    "accept_then_drop": "batch creation: accepted, then the connection closes without an answer",
    "accept_then_500": "batch creation: accepted, then 500",
}
"""Drawn at every call that the fault can hit."""

BATCH_FAULTS: Mapping[str, str] = {
    "queue_full": "OpenAI, Groq: fails with token_limit_exceeded; others: 429 at creation",
    "reject": "fails validation, nothing runs (Anthropic: every request errored)",
    "expire": "expires with 60 % answered (Gemini: no results at all)",
    "stuck": "stays in progress at 30 % until it is cancelled",
    "half_failed": "every second request fails on the provider's side",
    "rejected_lines": "two requests are refused with 400 inside the error file",
    "missing_ids": "one in five requests is in no file and not billed",
    "duplicate_ids": "one in five results comes twice",
    "reorder": "results are shuffled",
    "unknown_ids": "two results with ids that nobody sent are added",
    "malformed_line": "a garbage line is added and the first result's line is torn",
    "empty_error_file_id": 'OpenAI and Groq: error_file_id is "" instead of null',
    "empty_output": "completed without output: all requests in the error file, or no rows at all",
    "read_after_write_404": "unknown to retrieve and list for 1 s after its creation",
    "poll_500": "the first five polls answer 500",
}
"""Drawn once, when the batch is created; the batch keeps them for life, over restarts too."""

CONVEX_FAULTS: Mapping[str, str] = {
    "convex_expire": "a page after the first: the cursor has expired (400), begin again",
    "convex_resnapshot": "the tail of `data/sync`: falls back to a snapshot, cursor kept",
    "convex_cut": "a page: half of the announced bytes, then the connection closes",
    "convex_drop_mutation": "a mutation: committed, then the connection closes without an answer",
}
"""Drawn at every call to the Convex deployment that the fault can hit."""

FAULTS: Mapping[str, str] = {**CALL_FAULTS, **BATCH_FAULTS, **CONVEX_FAULTS}
