"""Text as it can be sent and shown."""

from __future__ import annotations


def well_formed(text: str) -> str:
    """The text with paired surrogates joined and lone ones replaced: UTF-8 can hold neither."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def shortened(text: str, limit: int = 300) -> str:
    """The first characters of a text that is longer than the limit."""
    return text if len(text) <= limit else f"{text[:limit]}…"


def error_text(error: BaseException) -> str:
    """What an error says, or its kind where it says nothing."""
    return str(error) or type(error).__name__


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())
