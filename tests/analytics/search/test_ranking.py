"""What is found among 178 refined palettes of ours, by the words that people type."""

import json
from pathlib import Path

import pytest

from grabient_ops.analytics.refinements import Refinement
from grabient_ops.analytics.search.embedding import WordVectors
from grabient_ops.analytics.search.index import Hit, Index, open_index
from grabient_ops.analytics.search.writing import open_refined
from grabient_ops.palettes.bundled import bundled_names
from grabient_ops.tagging.embed_text import embed_text

_FILE = Path(__file__).parents[2] / "data" / "search" / "refined.jsonl"
_SHOWN = 5

# What may stand among the first five; four of them must, the first one among them.
FOUND = {
    "ocean": "ocean spray, deep sea trench, iceberg, limestone coast, tide pool, seaweed, mermaid,"
    " coral reef, rock pool anemone, chalk cliffs, tropical lagoon, jellyfish, sea glass",
    "calm misty morning": "mountain layers, clear morning, fog over moor, lilac haze, zen garden,"
    " river at noon, sage and clay, limestone coast",
    "autumn forest": "forest floor, autumn maple, harvest moon, orchard in rain, moss and stone,"
    " copper beech, bluebell wood, birch forest",
    "neon night city": "midnight city, electric violet, neon arcade, night market, blue hour,"
    " ultraviolet, laser grid",
    "fire": "solar flare, bonfire night, ash and ember, ember sky, volcano, lantern festival,"
    " firefly field",
    "christmas": "peppermint stick, stained glass, clementine shade, gilded frame, plum wine,"
    " winter twilight",
    "romantic pink flowers": "rose garden, cherry blossom, wisteria, ballet slipper, violet candle,"
    " garden party, late summer sunset, hyacinth",
    "desert": "red rock canyon, desert dawn, sandstone arch, desert night, cactus flower",
    "thunderstorm": "thunderhead, prairie storm, storm front, storm lantern, aurora storm,"
    " orchard in rain",
    "outer space": "magenta nebula, supernova, solar flare, jellyfish, starling, desert night",
    "fresh fruit": "mango lassi, watermelon, dragon fruit, pistachio, lemon grove, blood orange,"
    " clementine shade, raspberry ripple, tangerine dream, watermelon sorbet",
    "spooky halloween": "pumpkin patch, raven wing, gothic window, harvest moon, electric violet",
    "luxury gold": "gilded frame, quince, honeycomb, sunflower, limoncello, bee stripes,"
    " peacock feather",
    "snow and ice": "winter twilight, arctic fox, first frost, ice cave, iceberg, winter sun,"
    " spring thaw, polar night",
    "sweet candy": "grape soda, peppermint stick, bubblegum, candy floss, sugared violet, sherbet,"
    " raspberry ripple",
    "jungle": "rainforest canopy, orchid house, toucan, fern gully, grasshopper, forest floor",
    "sunset at the beach": "late summer sunset, sunburn, golden hour, tangerine dream, ember sky,"
    " limestone coast, sunflower, ocean spray",
    "church": "stained glass, violet candle, saffron robe, gothic window, zen garden",
    "underwater": "deep sea trench, coral reef, cave lake, jellyfish, seaweed, poolside, tide pool",
    "retro diner": "retro kitchen, tangerine dream, vintage lorry, flamingo, neon arcade,"
    " fairground dusk, grape soda, sherbet, rhubarb custard, candy floss",
}  # fmt: skip
LOOK = {
    "ocean": ("dominant_colors", {"blue", "teal", "cyan", "navy", "green"}),
    "fire": ("dominant_colors", {"red", "orange", "brown", "gold"}),
    "deep blue sea": ("dominant_colors", {"blue", "navy", "teal", "cyan"}),
    "green": ("dominant_colors", {"green"}),
    "dark and mysterious": ("brightness", {"dark", "varied"}),
    "cold winter": ("temperature", {"cool", "neutral", "cool-warm"}),
    "soft muted tones": ("saturation", {"muted"}),
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, word_vectors: WordVectors) -> Index:
    """All of them, in a lake."""
    lake = tmp_path_factory.mktemp("lake")
    rows = [
        Refinement(number, row["seed"], "anthropic", "m", "p", 1, "b", json.dumps(row["tags"]),
                   embed_text(row["tags"]), None, "2026-11-22T12:00:00+00:00")
        for number, row in enumerate(map(json.loads, _FILE.read_text().splitlines()))
    ]  # fmt: skip
    with open_refined(lake / "refined") as writer:
        writer.start_over(word_vectors.model)
        writer.add(rows, word_vectors.embed([row.embed_text for row in rows]))
        writer.publish({})
    return open_index(lake)


def _names(hits: list[Hit]) -> list[str]:
    names = bundled_names()
    return [names[hit.seed] for hit in hits]


@pytest.mark.parametrize("query", FOUND)
def test_a_query_finds_what_people_would_expect(
    index: Index, word_vectors: WordVectors, query: str
) -> None:
    found = _names(index.search(query, word_vectors, _SHOWN))
    fitting = [name for name in found if name in FOUND[query].split(", ")]

    assert found[0] in fitting
    assert len(fitting) >= _SHOWN - 1, found


@pytest.mark.parametrize("query", LOOK)
def test_what_is_found_looks_as_asked(index: Index, word_vectors: WordVectors, query: str) -> None:
    field, looks = LOOK[query]
    hits = index.search(query, word_vectors, _SHOWN)

    for hit in hits:
        value = hit.tags[field]
        assert looks.intersection(value if isinstance(value, list) else [value]), hit


def test_hits_come_best_first_and_as_many_as_asked_for(
    index: Index, word_vectors: WordVectors
) -> None:
    hits = index.search("ocean", word_vectors, 1000)

    assert len(hits) == len(_FILE.read_text().splitlines())
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert index.search("ocean", word_vectors, 3) == hits[:3]
    assert all(-1 <= hit.score <= 1.2 for hit in hits)


def test_neighbours_are_like_it_and_are_not_itself(index: Index) -> None:
    seeds = {name: seed for seed, name in bundled_names().items()}
    near = _names(index.neighbours(seeds["deep sea trench"], 5))

    assert "deep sea trench" not in near
    assert {"jellyfish", "polar night", "cave lake", "lagoon at night", "boreal night"} & set(near)
