"""Batch lines of Gemini: `key` and `request` in, `key` and `response` or `error` out."""

import re
from dataclasses import dataclass

from grabient_ops.sandbox.dialect import JsonObject, Place, Problem, is_number, text_of
from grabient_ops.sandbox.lifecycle import Stage
from grabient_ops.sandbox.personas.instructions import more_keys
from grabient_ops.sandbox.personas.talk import Answer, Ask
from grabient_ops.sandbox.wire import fields, pictures
from grabient_ops.sandbox.wire.google.content import check_parts

_LINE_FIELDS = frozenset({"key", "request", "metadata"})
_SNAKE = re.compile(r"_([a-z])")
_UNKNOWN = "Invalid JSON payload received. Unknown name \"{0}\" at '{1}': Cannot find field."
_INVALID, _CANCELLED, _INTERNAL, _UNAVAILABLE = 3, 1, 13, 14
_JSON = "application/json"
_BLOBS = ("inlineData", "fileData")


@dataclass(frozen=True, slots=True)
class GeminiDialect:
    """How Gemini's requests are read; like protobuf's JSON it takes camelCase and snake_case."""

    def screen(self, line: JsonObject, batch_model: str | None) -> Problem | None:
        """Refuse lines that hold no request."""
        del batch_model
        unknown = [name for name in line if name not in _LINE_FIELDS]
        if unknown:
            return Problem(_UNKNOWN.format(unknown[0], "line"), "INVALID_ARGUMENT")
        if not isinstance(line.get("request"), dict):
            return Problem("A line holds no 'request' object.", "INVALID_ARGUMENT")
        return None

    def model(self, line: JsonObject) -> str | None:
        """The model is in the URL of the creation."""
        del line
        return None

    def key(self, line: JsonObject) -> str:
        """Return the `key`."""
        return str(line.get("key") or "")

    def body(self, line: JsonObject) -> JsonObject:
        """Return the request with camelCase names."""
        body = camel(line["request"])
        config = body.get("generationConfig")
        if isinstance(config, dict):
            body["generationConfig"] = camel(config)
        if isinstance(body.get("contents"), list):
            body["contents"] = list(map(_camel_content, body["contents"]))
        return body

    def check(self, body: JsonObject) -> Problem | None:
        """Validate one GenerateContent request."""
        for name in body:
            if name not in fields.GEMINI:
                return Problem(_UNKNOWN.format(name, "request"), "INVALID_ARGUMENT")
        contents = body.get("contents")
        if not isinstance(contents, list) or not contents:
            text = "GenerateContentRequest.contents: contents is not specified"
            return Problem(text, "INVALID_ARGUMENT")
        if not all(map(_is_content, contents)):
            text = "GenerateContentRequest.contents.parts: contents.parts must not be empty."
            return Problem(text, "INVALID_ARGUMENT")
        for number, content in enumerate(contents):
            problem = check_parts(content, f"contents[{number}]")
            if problem:
                return problem
        if "systemInstruction" in body and not _is_content(body["systemInstruction"]):
            text = "Invalid value at 'request.system_instruction': expected a Content object."
            return Problem(text, "INVALID_ARGUMENT")
        return _check_config(body.get("generationConfig", {}))

    def schema(self, body: JsonObject) -> JsonObject | None:
        """Return the schema of `generationConfig`."""
        config: JsonObject = body.get("generationConfig", {})
        found: JsonObject | None = config.get("responseJsonSchema", config.get("responseSchema"))
        return found

    def ask(self, body: JsonObject) -> Ask:
        """Find the user's text, the wanted format and the settings."""
        config = body.get("generationConfig", {})
        contents = [item["parts"] for item in body["contents"]]
        texts = list(map(text_of, contents))
        instruction = body.get("systemInstruction", {"parts": []})
        instructions = [text_of(instruction["parts"]), *texts[:-1]]
        thinking = camel(config.get("thinkingConfig", {}))
        return Ask(
            text=texts[-1],
            instruction_chars=sum(map(len, instructions)),
            temperature=float(config.get("temperature", 1)),
            json_only=config.get("responseMimeType") == _JSON,
            max_tokens=config.get("maxOutputTokens"),
            shows_thoughts=bool(thinking.get("includeThoughts")),
            thinks=bool(thinking.get("thinkingBudget")) or "thinkingLevel" in thinking,
            thinking_budget=_budget(thinking),
            more_keys=more_keys("\n".join(instructions)),
            pictures=pictures.count(contents, "inlineData", "fileData"),
        )

    def answered(self, key: str, answer: Answer, place: Place) -> JsonObject:
        """Build a line with a GenerateContentResponse."""
        response: JsonObject = {
            "modelVersion": answer.model,
            "responseId": f"{place.tag}{place.index}",
            "usageMetadata": _usage(answer),
        }
        if answer.finish == "refusal":
            response["promptFeedback"] = {"blockReason": "PROHIBITED_CONTENT"}
            return {"key": key, "response": response}
        parts: list[JsonObject] = [{"text": answer.text}]
        if answer.thoughts:
            parts.insert(0, {"text": answer.thoughts, "thought": True})
        response["candidates"] = [
            {
                "content": {"parts": parts, "role": "model"},
                "finishReason": "MAX_TOKENS" if answer.finish == "length" else "STOP",
                "index": 0,
            }
        ]
        return {"key": key, "response": response}

    def rejected(self, key: str, problem: Problem, place: Place) -> JsonObject:
        """Build an error line that no repetition will cure."""
        del place
        return {"key": key, "error": {"code": _INVALID, "message": problem.message}}

    def failed(self, key: str, place: Place) -> JsonObject:
        """Build an error line that may pass."""
        if place.index % 4:
            return {
                "key": key,
                "error": {"code": _INTERNAL, "message": "Internal error encountered."},
            }
        text = "The model is overloaded. Please try again later."
        return {"key": key, "error": {"code": _UNAVAILABLE, "message": text}}

    def unreached(self, key: str, end: Stage, place: Place) -> JsonObject:
        """Build the error line of a cancelled request; an expired batch has no file at all."""
        del end, place
        return {
            "key": key,
            "error": {"code": _CANCELLED, "message": "The operation was cancelled."},
        }


DIALECT = GeminiDialect()


def _check_config(config: object) -> Problem | None:
    if not isinstance(config, dict):
        return Problem("Invalid value at 'request.generation_config'.", "INVALID_ARGUMENT")
    for name in config:
        if name not in fields.GEMINI_CONFIG:
            return Problem(_UNKNOWN.format(name, "request.generation_config"), "INVALID_ARGUMENT")
    for name, most in (("temperature", 2.0), ("topP", 1.0)):
        value = config.get(name, 1)
        if not is_number(value, 0, most):
            text = f"GenerationConfig.{name}: {value} is outside of the range [0.0, {most}]."
            return Problem(text, "INVALID_ARGUMENT")
    limit = config.get("maxOutputTokens", 1)
    if not isinstance(limit, int) or not is_number(limit, 1):
        return Problem("GenerationConfig.max_output_tokens must be positive.", "INVALID_ARGUMENT")
    return _check_objects(config)


def _check_objects(config: JsonObject) -> Problem | None:
    for name in ("thinkingConfig", "responseSchema", "responseJsonSchema"):
        if not isinstance(config.get(name, {}), dict):
            return Problem(f"Invalid value at 'generation_config.{name}'.", "INVALID_ARGUMENT")
    wants_schema = "responseSchema" in config or "responseJsonSchema" in config
    if wants_schema and config.get("responseMimeType") != _JSON:
        text = "A response schema needs the response mime type 'application/json'."
        return Problem(text, "INVALID_ARGUMENT")
    return None


def _is_content(value: object) -> bool:
    parts = value.get("parts") if isinstance(value, dict) else None
    return isinstance(parts, list) and bool(parts) and all(isinstance(part, dict) for part in parts)


def camel(names: JsonObject) -> JsonObject:
    """Name fields as REST does, and leave out those that are null, as protobuf does."""
    return {
        _SNAKE.sub(lambda found: found[1].upper(), name): value
        for name, value in names.items()
        if value is not None
    }


def _camel_content(content: object) -> object:
    """Name the parts of a content as REST does; what is no content stays as it is."""
    if not isinstance(content, dict) or not _is_content(content):
        return content
    return content | {"parts": [_camel_part(part) for part in content["parts"]]}


def _camel_part(part: JsonObject) -> JsonObject:
    return {
        name: camel(value) if isinstance(value, dict) and name in _BLOBS else value
        for name, value in camel(part).items()
    }


def _budget(thinking: JsonObject) -> int | None:
    budget = thinking.get("thinkingBudget")
    return budget if isinstance(budget, int) and budget > 0 else None


def _usage(answer: Answer) -> JsonObject:
    usage: JsonObject = {
        "promptTokenCount": answer.input_tokens,
        "candidatesTokenCount": answer.output_tokens - answer.reasoning_tokens,
        "totalTokenCount": answer.input_tokens + answer.output_tokens,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": answer.input_tokens - answer.picture_tokens}
        ],
    }
    if answer.picture_tokens:
        shown = {"modality": "IMAGE", "tokenCount": answer.picture_tokens}
        usage["promptTokensDetails"].append(shown)
    if answer.reasoning_tokens:
        usage["thoughtsTokenCount"] = answer.reasoning_tokens
    if answer.cached_tokens:
        usage["cachedContentTokenCount"] = answer.cached_tokens
    return usage
