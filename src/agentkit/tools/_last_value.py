"""Code that ends by showing the value of its last expression, as an interactive session does."""

from __future__ import annotations

import io
import itertools
import keyword
import tokenize
from collections.abc import Sequence

from agentkit._text import words

_MARK = "_=("
_SHOWN = "None if _ is None else"
_ASSIGNMENTS = words("= : += -= *= /= //= %= @= &= |= ^= >>= <<= **=")
_EXPRESSIONS = words("None True False not lambda await")
_STATEMENTS = frozenset(keyword.kwlist) - _EXPRESSIONS
_COMPOUND = words("if elif else for while with def class try except finally async @")
_LAYOUT = frozenset({tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER})

Tokens = Sequence[tokenize.TokenInfo]


def showing_last_value(code: str, *, max_chars: int) -> str:
    """The code with its last expression kept as `_` and shown by the first characters of its repr.

    Lines keep their numbers. Code that does not end with an expression is returned as it is.
    """
    place = _last_expression(code)
    if place is None:
        return code
    start, end = place
    shown = f"{_SHOWN} f'{{_!r:.{max_chars}}}'"
    return f"{code[:start]}{_MARK}{code[start:end]}\n)\n{shown}"


def shows_value(line: str) -> bool:
    """Whether a line of such code is the one that was added to show the value."""
    return line.startswith(_SHOWN)


def as_written(line: str) -> str:
    """A line of such code without what was put into it."""
    return line.replace(_MARK, "", 1)


def _last_expression(code: str) -> tuple[int, int] | None:
    """Where the last statement starts and ends, if it is an expression at the top level."""
    try:
        line = _last_logical_line(code)
    except (tokenize.TokenError, SyntaxError):  # the sandbox says better what is wrong
        return None
    if not line or line[0].string in _COMPOUND:
        return None
    last = _last_simple_statement(line)
    if not last or last[0].string in _STATEMENTS:
        return None
    starts = [0, *itertools.accumulate(len(each) for each in code.split("\n"))]
    places = ((row, column) for row, column in (last[0].start, last[-1].end))
    start, end = (starts[row - 1] + row - 1 + column for row, column in places)
    return start, end


def _last_logical_line(code: str) -> Tokens:
    """The tokens of the last logical line; none if it is indented or not to be read."""
    last: list[tokenize.TokenInfo] = []
    indented, ended = 0, True
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.ERRORTOKEN:
            return []
        if token.type in (tokenize.INDENT, tokenize.DEDENT):
            indented += 1 if token.type == tokenize.INDENT else -1
        elif token.type == tokenize.NEWLINE:
            ended = True
        elif token.type not in _LAYOUT:
            if ended:
                last, ended, nested = [], False, indented
            last.append(token)
    return [] if last and nested else last


def _last_simple_statement(line: Tokens) -> Tokens:
    """The tokens of a line's last statement; none if it assigns or a bracket closes nothing."""
    last: list[tokenize.TokenInfo] = []
    depth, assigns, in_lambda, ended = 0, False, False, True
    for token in line:
        depth += (token.string in "([{") - (token.string in ")]}")
        if depth < 0:
            return []
        if depth == 0 and token.string == ";":
            ended = True
            continue
        if ended:
            last, assigns, in_lambda, ended = [], False, False, False
        in_lambda = in_lambda or (depth == 0 and token.string == "lambda")
        assigns = assigns or (depth == 0 and not in_lambda and token.string in _ASSIGNMENTS)
        last.append(token)
    return [] if assigns else last
