"""The tags that a model would give: what everyone sees, bent by taste, blurred by temperature."""

from collections.abc import Sequence
from random import Random

from grabient_ops.palettes.theory import DOMINANT_COLORS
from grabient_ops.sandbox.personas.palette import Palette, pools
from grabient_ops.sandbox.personas.taste import Taste
from grabient_ops.tagging.vocabulary import CATEGORIES, HARMONIES

Tags = dict[str, object]


def opinion(palette: Palette, taste: Taste, temperature: float, rng: Random) -> Tags:
    """Say what one model thinks of one palette, in the order of the ten fields."""
    noise = 0.04 + 0.08 * temperature
    seen = palette.facts

    def words(field: str, most: int) -> list[str]:
        return _words(palette, taste, field, most, noise, rng)

    def vote(field: str, computed: str) -> str:
        odd = rng.random() < taste.dissent + noise / 2
        return _pick(CATEGORIES[field], rng) if odd else computed

    return {
        "mood": words("mood", taste.wordiness),
        "style": words("style", 3),
        "dominant_colors": _blurred(seen.dominant_colors, DOMINANT_COLORS, noise, rng),
        "harmony": _blurred(seen.harmony[:2] or ("analogous",), HARMONIES, 2 * noise, rng),
        "temperature": vote("temperature", seen.temperature),
        "contrast": vote("contrast", seen.contrast),
        "brightness": vote("brightness", seen.brightness),
        "saturation": vote("saturation", seen.saturation),
        "seasonal": words("seasonal", 2),
        "associations": words("associations", taste.wordiness + 1),
    }


def embed_text(tags: Tags) -> str:
    """Write the tags as one line, as a refining model would."""
    flat: list[str] = []
    for value in tags.values():
        flat += map(str, value) if isinstance(value, list) else [str(value)]
    return " ".join(flat)


def _words(
    palette: Palette, taste: Taste, field: str, most: int, noise: float, rng: Random
) -> list[str]:
    random = rng.random
    chosen = [word for word in palette.core[field] if random() < taste.agreement][:most]
    if random() < 0.2:
        chosen.append(_pick(taste.tics[field], rng))
    while random() < noise or not chosen:
        chosen.append(_pick(palette.fitting[field], rng))
    if random() < taste.abroad * len(chosen):
        chosen[-1] = _pick(pools()[field]["abroad"], rng)
    distinct = list(dict.fromkeys(chosen))
    return [word.title() for word in distinct] if taste.capitals else distinct


def _blurred(computed: Sequence[str], known: Sequence[str], noise: float, rng: Random) -> list[str]:
    kept = [word for word in computed if rng.random() > noise] or list(computed[:1])
    if rng.random() < noise:
        kept.append(_pick(known, rng))
    return list(dict.fromkeys(kept))


def _pick(words: Sequence[str], rng: Random) -> str:
    return words[int(rng.random() * len(words))]
