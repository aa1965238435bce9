"""A Cypher query as tokens, and spelled so that a server reads the same tokens as the check did."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from agentkit._text import shortened
from agentkit.errors import QueryError, QueryRefusedError

MAX_QUERY_CHARS = 50_000
"""The longest query that is looked at."""

_BLANKS = re.compile(r"\s+")
_COMMENT = re.compile(r"//[^\r\n]*|/\*.*?\*/", re.DOTALL)
_STRING = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
_QUOTED = re.compile(r"`(?:[^`]|``)*`")
_NUMBER = re.compile(
    r"0x[0-9A-Fa-f_]+|0o[0-7_]+"
    r"|(?:[0-9][0-9_]*(?:\.[0-9][0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9_]+)?[fFdD]?"
)
_SYMBOL = re.compile(r"\.\.|<=|>=|<>|=~|\+=|::|\|\||[-+*/%^=<>()\[\]{},.;:|&!$]")
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_GAP = re.compile(_COMMENT.pattern + r"|[^ \t\r\n]", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_ESCAPED |= {character: character for character in "\\'\"`"}
_SPELLED = {"\\": r"\\", "\n": r"\n", "\t": r"\t", "\r": r"\r", "\b": r"\b", "\f": r"\f"}
_PLAIN_ESCAPES = frozenset("\\'\"ntrbf")
_STARTS = {"Lu", "Ll", "Lt", "Lm", "Lo", "Nl"}
_PARTS = _STARTS | {"Mn", "Mc", "Nd", "Pc", "Sc"}


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a query.

    Args:
        kind: `name` (a keyword too: Cypher reserves none), `quoted` (in backticks), `string`,
            `number`, `parameter` or `symbol`.
        text: The token as it stands in the query.
        start: The offset of its first character.
    """

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """The offset after its last character."""
        return self.start + len(self.text)

    @property
    def value(self) -> str:
        """A name without its backticks, a string without quotes and escapes; else the text."""
        if self.kind == "string":
            return _decoded(self.text)
        if self.kind == "parameter":
            return _unquoted(self.text[1:])
        return _unquoted(self.text)


def cypher_tokens(query: str) -> list[Token]:
    """The tokens of a query, without blanks and comments.

    Raises:
        QueryError: When a string, a quoted name or a comment is left open, a character is none of
            Cypher's, or there is nothing to read.
        QueryRefusedError: When it is too long, or has a Unicode escape outside a string: a server
            turns these into characters before it looks for tokens.
    """
    _check_text(query)
    tokens: list[Token] = []
    place = 0
    while (place := _gap_end(query, place)) < len(query):
        tokens.append(_token_at(query, place))
        place = tokens[-1].end
    if not tokens:
        raise QueryError("The query holds only comments. Write one that begins with MATCH.")
    return tokens


def respelled(query: str, tokens: Sequence[Token]) -> str:
    r"""The query as it may be sent: without comments, closing semicolons and unusual escapes.

    Each comment and unusual blank becomes one space. A string that has a Unicode escape, or a
    backslash before a character that needs none, is spelled anew with the same value: a server
    puts `\u0027` in as a quote before it reads the string, and so would end it there.
    """
    parts: list[str] = []
    end = 0
    last = len(tokens)
    while last and tokens[last - 1].text == ";":
        last -= 1
    for token in tokens[:last]:
        parts.append(_GAP.sub(" ", query[end : token.start]))
        parts.append(_spelled(token))
        end = token.end
    return "".join(parts)


def _check_text(query: str) -> None:
    if not isinstance(query, str):
        raise QueryError(f"A query is text; got {type(query).__name__}.")
    if not query.strip():
        raise QueryError("The query is empty. Write one that begins with MATCH.")
    if len(query) > MAX_QUERY_CHARS:
        raise QueryRefusedError(
            f"The query has {len(query):,} characters, and at most {MAX_QUERY_CHARS:,} are looked "
            "at. Write a shorter one."
        )
    for place, character in enumerate(query):
        if character == "\0" or "\ud800" <= character <= "\udfff":
            raise _odd_character(query, place)


def _gap_end(query: str, place: int) -> int:
    """Where the blanks and comments at a place end."""
    while gap := _BLANKS.match(query, place) or _COMMENT.match(query, place):
        place = gap.end()
    return place


def _token_at(query: str, place: int) -> Token:
    character = query[place]
    if character in "'\"":
        return _string_at(query, place)
    if character == "`":
        return Token("quoted", _quoted_at(query, place), place)
    if character == "$":
        return _dollar_at(query, place)
    if query.startswith("/*", place):
        raise QueryError(f"The comment that begins {_where(query, place)} is left open: add */.")
    number = None if query.startswith("..", place) else _NUMBER.match(query, place)
    if number:
        if _is_part(query, number.end()):
            raise QueryError(f"A name runs into the number {_where(query, place)}.")
        return Token("number", number[0], place)
    if _is_start(character):
        return Token("name", _name_at(query, place), place)
    symbol = _SYMBOL.match(query, place)
    if symbol:
        return Token("symbol", symbol[0], place)
    raise _odd_character(query, place)


def _string_at(query: str, place: int) -> Token:
    found = _STRING.match(query, place)
    if not found:
        raise QueryError(f"The string that begins {_where(query, place)} is left open.")
    for escape in _ESCAPE.finditer(found[0]):
        if escape[1] == "u":
            raise QueryError(
                f"The string {_where(query, place)} has \\u without four hexadecimal digits."
            )
    try:
        _decoded(found[0]).encode()
    except UnicodeEncodeError:
        raise QueryError(
            f"The string {_where(query, place)} has half of a surrogate pair."
        ) from None
    return Token("string", found[0], place)


def _quoted_at(query: str, place: int) -> str:
    found = _QUOTED.match(query, place)
    if not found:
        raise QueryError(f"The backtick {_where(query, place)} is left open.")
    if "\\u" in found[0]:
        raise QueryRefusedError(
            f"The quoted name {_where(query, place)} has a Unicode escape, which is read before "
            "the backticks are. Write the character itself."
        )
    if found[0] == "``":
        raise QueryError(f"The quoted name {_where(query, place)} is empty.")
    return found[0]


def _dollar_at(query: str, place: int) -> Token:
    follows = query[place + 1 : place + 2]
    if follows == "`":
        return Token("parameter", "$" + _quoted_at(query, place + 1), place)
    if follows and _is_part(query, place + 1):
        return Token("parameter", "$" + _name_at(query, place + 1), place)
    if query.startswith("(", _gap_end(query, place + 1)):
        return Token("symbol", "$", place)
    raise QueryError(f"The $ {_where(query, place)} has no name of a parameter right after it.")


def _name_at(query: str, place: int) -> str:
    end = place
    while _is_part(query, end):
        end += 1
    name = query[place:end]
    # ſ, İ and the Kelvin sign turn to ASCII letters where words are compared without their case
    if not name.isascii() and (name.upper().isascii() or name.lower().isascii()):
        raise _odd_character(query, next(i for i in range(place, end) if query[i] > "\x7f"))
    return name


def _is_start(character: str) -> bool:
    if character.isascii():
        return character.isalpha() or character == "_"
    return unicodedata.category(character) in _STARTS


def _is_part(query: str, place: int) -> bool:
    character = query[place : place + 1]
    if not character or character.isascii():
        return character.isalnum() or character in ("_", "$")
    return unicodedata.category(character) in _PARTS


def _odd_character(query: str, place: int) -> QueryError | QueryRefusedError:
    character = query[place]
    if query.startswith("\\u", place):
        return QueryRefusedError(
            f"There is a Unicode escape {_where(query, place)}, outside a string. Write the "
            "character itself."
        )
    name = unicodedata.name(character, "a control character")
    return QueryError(
        f"U+{ord(character):04X} ({name}) {_where(query, place)} is not a character of Cypher. "
        "Write others than plain ones only in quotes."
    )


def _where(query: str, place: int) -> str:
    before = query.rfind("\n", 0, place)
    line = query.count("\n", 0, place) + 1
    seen = shortened(query[place : place + 20].split("\n", maxsplit=1)[0], 15)
    return f"in line {line}, column {place - before} ({seen})".encode("utf-8", "replace").decode()


def _unquoted(text: str) -> str:
    return text[1:-1].replace("``", "`") if text.startswith("`") else text


def _decoded(text: str) -> str:
    """A string's value; a backslash before anything else stands for itself, as in Neo4j."""

    def character(escape: re.Match[str]) -> str:
        code = escape[1]
        return chr(int(code[1:], 16)) if len(code) > 1 else _ESCAPED.get(code, escape[0])

    value = _ESCAPE.sub(character, text[1:-1])
    if "\\u" not in text:
        return value
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _spelled(token: Token) -> str:
    if token.kind != "string":
        return token.text
    escapes = (escape[1] for escape in _ESCAPE.finditer(token.text))
    if all(code in _PLAIN_ESCAPES for code in escapes):
        return token.text
    quote = token.text[0]
    spelled = _SPELLED | {quote: f"\\{quote}"}
    return quote + "".join(spelled.get(character, character) for character in token.value) + quote
