"""What every database takes as options, checked."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import Any

from agentkit.errors import ConfigurationError


def patterns(name: str, given: Any) -> list[str]:
    """A list of texts."""
    if isinstance(given, str) or not all(isinstance(pattern, str) for pattern in given):
        raise ConfigurationError(f"{name} is a list of texts; got {given!r}.")
    return list(given)


def matches(name: str, given: Sequence[str]) -> bool:
    """Whether a name matches a pattern (`fnmatch`), without case."""
    if not given:
        return False
    folded = name.casefold()
    return any(fnmatch.fnmatchcase(folded, pattern.casefold()) for pattern in given)
