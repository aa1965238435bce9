"""Words compared as a reader would: case, punctuation and typography aside."""

from __future__ import annotations

import re
import unicodedata

_INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")  # soft hyphens, zero-width characters
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"  # Thai, Lao, Burmese, Khmer, Japanese and Chinese
)
_ALL_BUT_WORDS = re.compile(r"[\W_]+")


def folded_words(text: str) -> str:
    """The words of a text with one space between, in one form of case and typography.

    In scripts that are written without spaces each character counts as a word.
    """
    folded = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    return _ALL_BUT_WORDS.sub(" ", _UNSPACED.sub(r" \g<0> ", folded)).strip()
