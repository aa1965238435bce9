"""What every database takes as options, checked."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from typing import Any

from agentkit.errors import ConfigurationError


def patterns(name: str, given: Any) -> list[str]:
    """A list of texts."""
    is_list = isinstance(given, Iterable) and not isinstance(given, str)
    if not is_list or not all(isinstance(pattern, str) for pattern in given):
        raise ConfigurationError(f"{name} is a list of texts; got {given!r}.")
    return list(given)


def private_patterns(given: Any, *, form: str) -> list[str]:
    """Patterns of what is private, each of the given form, such as `table.column`."""
    private = patterns("private", given)
    # a bare name matches nothing, and so would keep nothing private
    if bare := next((name for name in private if not set(name) & set(".*?[")), None):
        raise ConfigurationError(f"private names {form}; got {bare!r}. Anywhere it is '*.{bare}'.")
    return private


def matches(name: str, given: Sequence[str]) -> bool:
    """Whether a name matches a pattern (`fnmatch`), without case."""
    if not given:
        return False
    folded = name.casefold()
    return any(fnmatch.fnmatchcase(folded, pattern.casefold()) for pattern in given)
