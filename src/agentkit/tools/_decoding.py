"""The text of what a server answers, whatever it says of its encoding."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from agentkit.errors import MissingExtraError

try:
    import charset_normalizer
except ImportError as error:
    raise MissingExtraError("A web tool", "web") from error

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHARSET = re.compile(r"charset\s*=\s*(?:[\"']\s*)?([\w.:-]+)", re.IGNORECASE)
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*(?:[\"']\s*)?([\w.:-]+)", re.IGNORECASE)
_META_WITHIN = 2_048
_DETECTED_WITHIN = 50_000
_NOT_OF_THE_WEB = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape", "utf-7"})
# What the web calls these encodings is read as the larger one that browsers read (WHATWG Encoding).
_LARGER = {"iso8859-1": "cp1252", "ascii": "cp1252", "gb2312": "gb18030", "shift_jis": "cp932"}

MARKS = tuple(mark for mark, _ in _BOMS)
"""The byte order marks."""


def decoded(body: bytes, content_type: str) -> str:
    """The text of a body.

    A byte order mark is believed first, then UTF-8 where the bytes are that, then what the
    `Content-Type` header and the page itself say, and then what the bytes look like.
    """
    for mark, encoding in _BOMS:
        if body.startswith(mark):
            return body.decode(encoding, "replace")
    for encoding in _declared(body, content_type):
        try:
            return body.decode(encoding)
        except (LookupError, UnicodeError):
            continue
    detected = charset_normalizer.from_bytes(body[:_DETECTED_WITHIN]).best()
    return body.decode(detected.encoding if detected else "cp1252", "replace")


def _declared(body: bytes, content_type: str) -> Iterator[str]:
    found = _CHARSET.search(content_type)
    meta = _META_CHARSET.search(body[:_META_WITHIN])
    named = [found[1]] if found else []
    named += [meta[1].decode("ascii", "replace")] if meta else []
    # bytes beyond ASCII that are UTF-8 are hardly ever anything else, whatever is declared
    names = [*named, "utf-8"] if body.isascii() else ["utf-8", *named]
    for name in names:
        try:
            encoding = codecs.lookup(name).name
        except LookupError:
            continue
        if encoding not in _NOT_OF_THE_WEB:
            yield _LARGER.get(encoding, encoding)
