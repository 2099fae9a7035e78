"""What a model says besides the ten fields, under whatever key or form it is asked for."""

import re
from dataclasses import dataclass

_DROPS = re.compile(r"drop|remov|reject|exclu|left_out|discard", re.IGNORECASE)
_TELLS = re.compile(r"sentence|summary|description|embed", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Extras:
    """A model's words about its own answer.

    Attributes:
        sentence: the palette in one sentence.
        dropped: tags that it left out, each with its reason.
    """

    sentence: str
    dropped: tuple[tuple[str, str], ...] = ()

    def under(self, key: str) -> object:
        """What belongs under a key of this name; None when the name says nothing."""
        if _DROPS.search(key):
            return self.objects(("tag", "reason"))
        return self.sentence if _TELLS.search(key) else None

    def objects(self, keys: tuple[str, ...]) -> list[dict[str, str]]:
        """What was dropped, as objects with these keys in this order."""
        return [dict(zip(keys, pair, strict=False)) for pair in self.dropped]
