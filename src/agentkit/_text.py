"""Text as it can be sent and shown."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


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


def without_tags(text: str, *names: str) -> str:
    """The text with tags of these names made plain text: it can neither end nor begin an element.

    Args:
        text: The text, such as a stranger's that stands in such an element of a prompt.
        names: The elements' names, in any case and with any blanks as a model may read them.
    """
    listed = "|".join(map(re.escape, names))
    return re.sub(rf"<(?=\s*(?:/\s*)?(?:{listed})\b)", "&lt;", text, flags=re.IGNORECASE)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence, after a blank, that asks whether the nearest known name is meant; or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def error_text(error: BaseException) -> str:
    """What an error says, or its kind where it says nothing."""
    return str(error) or type(error).__name__


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())
