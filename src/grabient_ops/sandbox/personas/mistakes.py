"""What real models do wrong, at rates near those that were measured on hosted models."""

from collections.abc import Callable
from random import Random

from grabient_ops.sandbox.personas.opinion import Tags
from grabient_ops.sandbox.personas.palette import pools
from grabient_ops.tagging.vocabulary import CATEGORIES, LIST_FIELDS

_REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I cannot describe this content.",
)
_CHATTER = (
    "The palette moves from one end to the other in eleven steps and feels coherent throughout.",
    "To read the palette, let's break it down into its key components:\n\n1. The first colour",
    "I would need to see the image to describe it.",
)
_PROSE = ("Here is the JSON you asked for:\n\n", "Sure! Here's my analysis of the palette:\n")
_AFTERWORD = (
    "\n\nLet me know if you need anything else!",
    "\n\n**Note:** based on the hex values.",
)
_THOUGHT = "<think>\nThe colours are {0} and {1}. The user wants JSON {{only}}.\n</think>\n\n"


def refusal(rng: Random) -> str:
    """Words of a model that declines."""
    return rng.choice(_REFUSALS)


def chatter(rng: Random) -> str:
    """An answer without any JSON."""
    return rng.choice(_CHATTER)


def slip(tags: Tags, rng: Random, *, typed: bool) -> None:
    """Spoil the content of an answer, in place.

    Args:
        tags: the ten fields.
        rng: decides how.
        typed: whether a schema keeps types and closed words right.
    """
    rng.choice(_ANYWHERE if typed else _ANYWHERE + _UNTYPED)(tags, rng)


def _repeat(tags: Tags, rng: Random) -> None:
    words = _list(tags, rng)
    words.append(rng.choice(words))


def _in_two_fields(tags: Tags, rng: Random) -> None:
    _strings(tags, "style").append(rng.choice(_strings(tags, "mood")))


def _several_in_one(tags: Tags, rng: Random) -> None:
    words = _strings(tags, rng.choice(("mood", "associations")))
    words[:] = [rng.choice((", ", "、", "; ")).join(words)]


def _placeholder(tags: Tags, rng: Random) -> None:
    del rng
    _strings(tags, "mood").append("2-5 feelings")


def _hex_as_tag(tags: Tags, rng: Random) -> None:
    _strings(tags, "associations").append(f"#{rng.randrange(1 << 24):06x}")


def _array_for_word(tags: Tags, rng: Random) -> None:
    field = rng.choice(tuple(CATEGORIES))
    tags[field] = [tags[field]] if rng.random() < 0.7 else list(CATEGORIES[field])


def _odd_word(tags: Tags, rng: Random) -> None:
    field = rng.choice(tuple(CATEGORIES))
    tags[field] = rng.choice(pools()["instead"][field])


def _odd_colour(tags: Tags, rng: Random) -> None:
    tags["dominant_colors"] = [
        *_strings(tags, "dominant_colors"),
        rng.choice(("turquoise", "azure")),
    ]


def _number_in_list(tags: Tags, rng: Random) -> None:
    tags["mood"] = [*_strings(tags, "mood"), rng.randrange(2, 6)]


def _string_for_list(tags: Tags, rng: Random) -> None:
    field = rng.choice(("style", "seasonal", "harmony"))
    tags[field] = ", ".join(_strings(tags, field))


def _missing_key(tags: Tags, rng: Random) -> None:
    del tags[rng.choice(("seasonal", "harmony", "contrast"))]


def _null(tags: Tags, rng: Random) -> None:
    tags[rng.choice(("seasonal", "harmony", "temperature"))] = None


def _camel_keys(tags: Tags, rng: Random) -> None:
    del rng
    tags["dominantColors"] = tags.pop("dominant_colors")


Slip = Callable[[Tags, Random], None]
_ANYWHERE: tuple[Slip, ...] = (_repeat, _in_two_fields, _several_in_one, _placeholder, _hex_as_tag)
_UNTYPED: tuple[Slip, ...] = (
    _array_for_word,
    _odd_word,
    _odd_word,
    _odd_colour,
    _number_in_list,
    _string_for_list,
    _missing_key,
    _null,
    _camel_keys,
)


def _list(tags: Tags, rng: Random) -> list[str]:
    return _strings(tags, rng.choice([field for field in LIST_FIELDS if tags[field]]))


def _strings(tags: Tags, field: str) -> list[str]:
    value = tags[field]
    assert isinstance(value, list)  # noqa: S101 - slips run once per answer, on well-typed tags
    return value


def dress(text: str, rng: Random) -> str:
    """Put something around or into sound JSON that a tolerant reader can undo."""
    return rng.choice(_DRESSES)(text, rng)


def _fence(text: str, rng: Random) -> str:
    end = "" if rng.random() < 0.1 else "\n```"
    return f"```{rng.choice(('json', 'JSON', ''))}\n{text}{end}"


def _prose(text: str, rng: Random) -> str:
    return rng.choice(_PROSE) + text


def _afterword(text: str, rng: Random) -> str:
    return text + rng.choice(_AFTERWORD)


def _fence_in_prose(text: str, rng: Random) -> str:
    return f"{rng.choice(_PROSE)}```json\n{text}\n```{rng.choice(_AFTERWORD)}"


def _trailing_comma(text: str, rng: Random) -> str:
    del rng
    return text.rstrip().removesuffix("}").rstrip() + ",\n}"


def _bare_word(text: str, rng: Random) -> str:
    """Lose the opening quote of one array item, the commonest fault of small models."""
    places = [i for i in range(len(text)) if text.startswith('","', i)]
    if not places:
        return text
    place = rng.choice(places)
    return text[: place + 2] + " " + text[place + 3 :]


def _comment(text: str, rng: Random) -> str:
    del rng
    head, comma, tail = text.partition("],")
    return f"{head}{comma} // feelings\n{tail}" if comma else text


def _wrapped(text: str, rng: Random) -> str:
    del rng
    return f'{{"tags": {text}}}'


_DRESSES: tuple[Callable[[str, Random], str], ...] = (
    _fence,
    _fence,
    _fence,
    _fence_in_prose,
    _prose,
    _afterword,
    _trailing_comma,
    _bare_word,
    _comment,
    _wrapped,
)


def think_aloud(text: str, rng: Random) -> str:
    """Leave reasoning in the answer, closed as it should be or, rarely, not."""
    thought = _THOUGHT.format(*rng.sample(("warm", "dark", "blue", "soft", "bold"), 2))
    return thought + text


def emptied(tags: Tags) -> Tags:
    """An answer of the right form that says nothing."""
    return {name: [] if isinstance(value, list) else "" for name, value in tags.items()}
