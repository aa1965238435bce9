"""Words compared as a reader would: case, punctuation and typography aside."""

from __future__ import annotations

import functools
import re
import unicodedata

# soft hyphens, zero-width characters, what chooses between forms of a character
_INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufe00-\ufe0f\ufeff\U000e0100-\U000e01ef]")
# what may be left out in writing: the vowel points of Hebrew and Arabic, Arabic's lengthening
# stroke; and the dot that folding the case of a Turkish letter leaves behind
_OPTIONAL = re.compile(
    "[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u0652"
    "\u0656-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed]|(?<=i)\u0307"
)
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"  # Thai, Lao, Burmese, Khmer, Japanese and Chinese
)
_SPELLING_MARKS = ("Mn", "Mc")


def folded_words(text: str) -> str:
    """The words of a text with one space between, in one form of case and typography.

    In scripts that are written without spaces each character counts as a word.
    """
    folded = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    if folded.isascii():
        return _all_but_words("").sub(" ", folded).strip()
    folded = _UNSPACED.sub(r" \g<0> ", _OPTIONAL.sub("", folded))
    marks = {each for each in set(folded) if unicodedata.category(each) in _SPELLING_MARKS}
    return _all_but_words("".join(sorted(marks))).sub(" ", folded).strip()


@functools.lru_cache(maxsize=256)
def _all_but_words(marks: str) -> re.Pattern[str]:
    r"""What stands between words: to `\w` a vowel sign, such as those of Hindi, is no part of one.

    Args:
        marks: The combining marks of a text.
    """
    return re.compile(f"(?:(?![{re.escape(marks)}])[\\W_])+" if marks else r"[\W_]+")
