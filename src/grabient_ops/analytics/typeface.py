"""Fonts of this machine for text in any script; what no font can draw is spelt as an escape."""

from functools import cache

from matplotlib import font_manager

_LONGEST = 28
"""Characters of a name that a plot has room for."""
_BUNDLED = "DejaVu Sans"
_WANTED = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC",
    "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "PingFang SC", "Hiragino Sans", "Microsoft YaHei",
    "Noto Sans", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai",
    "Noto Emoji", "Symbola", "Segoe UI Symbol", "Arial Unicode MS",
)  # fmt: skip
"""Fonts with many scripts. Colour emoji fonts are not among them: they cannot be drawn with."""


@cache
def families() -> tuple[str, ...]:
    """Names of the fonts to draw with, the first that has a glyph is taken."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return (_BUNDLED, *(name for name in _WANTED if name in installed))


@cache
def _glyphs() -> frozenset[int]:
    """The code points that some font of ours can draw."""
    charmaps = (
        font_manager.get_font(font_manager.findfont(name)).get_charmap() for name in families()
    )
    return frozenset().union(*charmaps)


def drawable(text: str) -> str:
    """Return a text that can be drawn: cut, and escapes for what no font has."""
    shown = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return "".join(
        character
        if character.isprintable() and ord(character) in _glyphs()
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in shown
    )
