"""The names of all request fields that each API knows; whatever else is sent gets refused."""

_CHAT = (
    "model messages temperature top_p n stop max_tokens max_completion_tokens presence_penalty"
    " frequency_penalty logit_bias logprobs top_logprobs user seed response_format tools"
    " tool_choice parallel_tool_calls reasoning_effort verbosity metadata store service_tier"
    " modalities prediction prompt_cache_key prompt_cache_retention safety_identifier stream"
)
_GROQ_ONLY = "reasoning_format include_reasoning disable_tool_validation"
_MESSAGES = (
    "model messages max_tokens system metadata stop_sequences temperature top_p top_k tools"
    " tool_choice thinking output_config service_tier container mcp_servers context_management"
    " cache_control inference_geo"
)
_GEMINI = (
    "contents systemInstruction generationConfig safetySettings tools toolConfig cachedContent"
    " model labels"
)
_GEMINI_CONFIG = (
    "temperature topP topK candidateCount maxOutputTokens stopSequences responseMimeType"
    " responseSchema responseJsonSchema presencePenalty frequencyPenalty seed responseLogprobs"
    " logprobs thinkingConfig responseModalities mediaResolution speechConfig"
)

_GEMINI_PART_DATA = (
    "text inlineData fileData functionCall functionResponse executableCode codeExecutionResult"
)
_GEMINI_PART = "thought thoughtSignature videoMetadata mediaResolution partMetadata"

CHAT = frozenset(_CHAT.split())
GROQ_CHAT = CHAT | frozenset(_GROQ_ONLY.split())
MESSAGES = frozenset(_MESSAGES.split())
GEMINI = frozenset(_GEMINI.split())
GEMINI_CONFIG = frozenset(_GEMINI_CONFIG.split())
GEMINI_PART_DATA = frozenset(_GEMINI_PART_DATA.split())
GEMINI_PART = GEMINI_PART_DATA | frozenset(_GEMINI_PART.split())
