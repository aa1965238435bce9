"""A query as tokens, spelled so that an engine reads the same tokens as the check did."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from sqlglot import Token, TokenType
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError

from agentkit._text import shortened
from agentkit.errors import QueryError, QueryRefusedError

MAX_QUERY_CHARS = 50_000
"""The longest query that is looked at; the longest of the usual benchmarks has some 2,000."""

_MAX_TOKENS = 10_000
_FIRST_WORDS = {"SELECT", "WITH", "VALUES", "TABLE"}
_ADVICE = "Write one SELECT"
_NEVER = {chr(code) for code in (*range(32), 127, *range(0xD800, 0xE000))} - set("\t\n\r")
_TIGHT = frozenset("()[]{},.;:") | {"::"}
_ONE_OPERATOR = {("<", "<"), (">", ">"), ("!", "~")}
"""How operators begin that are several tokens here and one to the engine, as in a !~~ b."""

_STRINGS = {TokenType.STRING, TokenType.NATIONAL_STRING, TokenType.BYTE_STRING}
_LITERALS = _STRINGS | {TokenType.UNICODE_STRING, TokenType.IDENTIFIER, TokenType.HEREDOC_STRING}
_REFUSED_TOKENS = {
    TokenType.HINT: "an optimizer hint (/*+ … */)",
    TokenType.PARAMETER: "a parameter or variable",
    TokenType.SESSION_PARAMETER: "a system variable (@@)",
    TokenType.PLACEHOLDER: "a parameter (?)",
    TokenType.INTO: "INTO",
}


def tokens_of(query: str, dialect: str) -> list[Token]:
    """The tokens of the one statement that a query is, without its closing semicolons.

    Raises:
        QueryError: When there is no statement, or it cannot be read.
        QueryRefusedError: When there are several, or one is spelled so that engines may differ
            in where its tokens end.
    """
    _check_text(query)
    try:
        tokens = Dialect.get_or_raise(dialect).tokenize(query)
    except SqlglotError as error:
        raise QueryError(
            f"The query cannot be read, a quote or comment may be left open: "
            f"{shortened(' '.join(str(error).split()), 120)}"
        ) from error
    if len(tokens) > _MAX_TOKENS:
        raise QueryRefusedError(
            f"The query has {len(tokens):,} tokens, and at most {_MAX_TOKENS:,} are looked at. "
            "Write a shorter SELECT."
        )
    statements = _statements(tokens)
    if statements:
        _check_kind(statements, dialect)
    _check_gaps(query, tokens, dialect)
    if not statements:
        raise QueryError(f"The query holds no statement. {_ADVICE}.")
    tokens = statements[0]
    for token in tokens:
        _check_token(token, _source(query, token), dialect)
    return tokens


def respelled(query: str, tokens: list[Token], dialect: str) -> str:
    """The tokens as text: without comments, apart from each other, quotes doubled in strings."""
    parts: list[str] = []
    before: Token | None = None
    for token in tokens:
        if before is not None:
            parts.append(_gap_between(query, before, token))
        parts.append(_spelled(token, _source(query, token), dialect))
        before = token
    return "".join(parts)


def _source(query: str, token: Token) -> str:
    return query[token.start : token.end + 1]


def _check_text(query: str) -> None:
    if not isinstance(query, str):
        raise QueryError(f"A query is text; got {type(query).__name__}. {_ADVICE}.")
    if not query.strip():
        raise QueryError(f"The query is empty. {_ADVICE}.")
    if len(query) > MAX_QUERY_CHARS:
        raise QueryRefusedError(
            f"The query has {len(query):,} characters, and at most {MAX_QUERY_CHARS:,} are looked "
            "at. Write a shorter SELECT."
        )
    for character in query:
        if character in _NEVER:
            raise _odd_character(character)


def _odd_character(character: str) -> QueryRefusedError:
    name = unicodedata.name(character, "a control character")
    return QueryRefusedError(
        f"The query holds U+{ord(character):04X} ({name}), which engines read differently. "
        f"{_ADVICE} in plain characters, and others only in quotes."
    )


def _check_gaps(query: str, tokens: list[Token], dialect: str) -> None:
    """Between tokens stand blanks and comments alone, and no comment that an engine runs."""
    end = 0
    for start, next_end in [*((t.start, t.end + 1) for t in tokens), (len(query), 0)]:
        gap = query[end:start]
        if dialect == "mysql" and re.search(r"/\*M?!", gap):
            raise QueryRefusedError(
                f"The query has an executable comment (/*! … */), which is run. {_ADVICE} "
                "without it."
            )
        _check_gap(gap, dialect)
        end = next_end


def _check_gap(gap: str, dialect: str) -> None:
    place = 0
    while place < len(gap):
        rest = gap[place : place + 2]
        if rest[0] in " \t\r\n":
            place += 1
        elif rest == "--" or (rest[0] == "#" and dialect == "mysql"):
            place = gap.find("\n", place) + 1 or len(gap)
        elif rest == "/*":
            place = _comment_end(gap, place, nested=dialect in ("postgres", "duckdb"))
        elif rest == "{#":
            raise QueryRefusedError(f"The query has a template comment ({{# … #}}). {_ADVICE}.")
        else:
            raise _odd_character(rest[0])


def _comment_end(gap: str, start: int, *, nested: bool) -> int:
    depth = 0
    for mark in re.finditer(r"/\*|\*/", gap[start:]):
        depth = depth + 1 if mark[0] == "/*" and (nested or not depth) else depth - 1
        if mark[0] == "*/" and depth <= 0:
            return start + mark.end()
    return len(gap)


def _statements(tokens: list[Token]) -> list[list[Token]]:
    statements: list[list[Token]] = [[]]
    for token in tokens:
        if token.token_type == TokenType.SEMICOLON:
            statements.append([])
        else:
            statements[-1].append(token)
    return [statement for statement in statements if statement]


def _check_kind(statements: list[list[Token]], dialect: str) -> None:
    """There is one statement, and it begins as those do that read."""
    if len(statements) > 1:
        kinds = ", ".join(map(_first_word, statements[:5]))
        raise QueryRefusedError(
            f"The query holds {len(statements)} statements ({kinds}), and one may be run. "
            f"{_ADVICE}, without a semicolon inside."
        )
    word = _first_word(statements[0])
    _check_word(word)
    if word not in _FIRST_WORDS and not (word == "FROM" and dialect == "duckdb"):
        raise QueryRefusedError(
            f"{word} is not a statement that reads. {_ADVICE}, and nothing before it."
        )


def _first_word(statement: list[Token]) -> str:
    text = next((token.text for token in statement if token.text != "("), "(")
    return shortened(text.upper() if text.isascii() else text, 40)


def _check_token(token: Token, source: str, dialect: str) -> None:
    kind = token.token_type
    # in PostgreSQL, a ? b may be an operator: alone, it is refused where it stands in the tree
    if kind in _REFUSED_TOKENS and not (kind == TokenType.PLACEHOLDER and dialect == "postgres"):
        what = f"{_REFUSED_TOKENS[kind]} at {shortened(source, 40)!r}"
        raise QueryRefusedError(f"The query has {what}, which no read needs. {_ADVICE} without it.")
    if kind in _LITERALS:
        return
    if dialect in ("sqlite", "mysql") and source.startswith("$"):
        raise QueryRefusedError(
            f"The query has a parameter ({shortened(source, 40)}). {_ADVICE} with the value itself."
        )
    _check_word(source)


def _check_word(source: str) -> None:
    for character in source:
        if not (character.isascii() or unicodedata.category(character)[0] in "LMN"):
            raise _odd_character(character)
    # İ, ſ and the Kelvin sign turn to ASCII letters where words are compared without their case
    if not source.isascii() and (source.upper().isascii() or source.lower().isascii()):
        raise _odd_character(next(c for c in source if not c.isascii()))


def _gap_between(query: str, before: Token, token: Token) -> str:
    gap = query[before.end + 1 : token.start]
    if gap:
        return gap if gap.isspace() else ("\n" if "\n" in gap else " ")
    a, b = before, query[token.start : token.end + 1]
    a_text = query[a.start : a.end + 1]
    tight = a_text in _TIGHT or b in _TIGHT or (a_text, b[:1]) in _ONE_OPERATOR
    negative = a.token_type == TokenType.DASH and token.token_type == TokenType.NUMBER
    return "" if tight or negative else " "


def _spelled(token: Token, source: str, dialect: str) -> str:
    kind = token.token_type
    if kind == TokenType.HEREDOC_STRING:
        return _quoted(token.text)
    if kind in _STRINGS and (dialect == "mysql" or kind == TokenType.BYTE_STRING):
        return _without_escaped_quotes(source)
    if kind in _LITERALS:
        return source
    return " ".join(source.split())


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def _without_escaped_quotes(source: str) -> str:
    r"""A string with each \' and \" spelled so that it ends at one place in every SQL mode."""
    quote = source[-1]
    prefix, inner = source[:-1].split(quote, 1)
    pieces = re.findall(rf"\\.|{quote}{quote}|.", inner, re.DOTALL)
    return prefix + "'" + "".join(_respelled_pieces(pieces)) + "'"


def _respelled_pieces(pieces: list[str]) -> Iterator[str]:
    for piece in pieces:
        if piece in ("\\'", "''", "'"):
            yield "''"
        elif piece in ('\\"', '""', '"'):
            yield '"'
        else:
            yield piece
