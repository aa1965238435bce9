"""HTML and SVG from elements, with everything escaped that is not an element."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import TypeAlias

from agentkit._text import well_formed

_VOID = frozenset({"meta", "input", "br"})
_UNSHOWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
"""What XML cannot hold, and what turns around the direction of the text behind it."""


class Markup(str):
    """Text that is HTML."""

    __slots__ = ()


Child: TypeAlias = "str | Markup | Iterable[str | Markup] | None"


def tag(name: str, /, *children: Child, **attributes: object) -> Markup:
    """An element.

    Args:
        name: Its name.
        children: Elements, texts (which are escaped), or lists of these; None is left out.
        attributes: Its attributes: `_` stands for `-`, one at the end is left out (`class_`),
            True is an attribute without a value, and False and None are none.
    """
    told = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{name}{told}>")
    return Markup(f"<{name}{told}>{joined(*children)}</{name}>")


def joined(*children: Child) -> Markup:
    """Elements and escaped texts, one behind the other."""
    return Markup("".join(_content(child) for child in children))


def _content(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return escape(_UNSHOWN.sub("\ufffd", well_formed(child)))
    return joined(*child)


def _attribute(key: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{_content(str(value))}"'
