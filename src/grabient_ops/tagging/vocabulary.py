"""The ten fields of an answer and the words that the closed ones may take."""

from collections.abc import Mapping
from types import MappingProxyType

FIELDS = (
    "mood",
    "style",
    "dominant_colors",
    "harmony",
    "temperature",
    "contrast",
    "brightness",
    "saturation",
    "seasonal",
    "associations",
)
"""Every field, in the order in which they are asked for, stored and shown."""

CATEGORIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "temperature": ("warm", "cool", "neutral", "cool-warm"),
        "contrast": ("high", "medium", "low"),
        "brightness": ("dark", "medium", "light", "varied"),
        "saturation": ("vibrant", "muted", "mixed"),
    }
)
"""The four fields that hold one word, a model's vote, and the words that count as one."""

LIST_FIELDS = tuple(field for field in FIELDS if field not in CATEGORIES)
"""The six fields that hold any number of tags, in any language."""

HARMONIES = (
    "monochromatic",
    "analogous",
    "complementary",
    "split-complementary",
    "triadic",
    "tetradic",
)
"""The relations between hues that we ask for and that can be computed from the colours."""

SYNONYMS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "temperature": {
            "mixed": "cool-warm",
            "both": "cool-warm",
            "balanced": "neutral",
            "grey": "neutral",
            "gray": "neutral",
        },
        "contrast": {
            "strong": "high",
            "intense": "high",
            "moderate": "medium",
            "mid": "medium",
            "subtle": "low",
            "soft": "low",
            "minimal": "low",
        },
        "brightness": {
            "bright": "light",
            "pale": "light",
            "very light": "light",
            "dim": "dark",
            "deep": "dark",
            "very dark": "dark",
            "moderate": "medium",
            "mid": "medium",
            "average": "medium",
            "mixed": "varied",
            "variable": "varied",
            "contrast": "varied",
        },
        "saturation": {
            "high": "vibrant",
            "bright": "vibrant",
            "vivid": "vibrant",
            "saturated": "vibrant",
            "intense": "vibrant",
            "rich": "vibrant",
            "low": "muted",
            "dull": "muted",
            "desaturated": "muted",
            "soft": "muted",
            "pastel": "muted",
            "subtle": "muted",
            "moderate": "mixed",
            "medium": "mixed",
            "varied": "mixed",
            "variable": "mixed",
        },
    }
)
"""What models write instead of a word of `CATEGORIES`, per field, lower-case."""
