"""Text from outside on a terminal: whatever could steer the terminal is shown as an escape."""


def legible(text: str, longest: int | None = None) -> str:
    """Return the text with unprintable characters as escapes, cut to so many characters.

    Line ends stay.
    """
    if longest is not None and len(text) > longest:
        text = f"{text[:longest]}... ({len(text):,} characters)"
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character == "\n"
        else character.encode("unicode_escape").decode()
        for character in text
    )
