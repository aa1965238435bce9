"""Numbers that options take, checked, and refused in the same words everywhere."""

from __future__ import annotations

from typing import Any

from agentkit.errors import ConfigurationError


def whole_number(name: str, value: Any, *, least: int = 1) -> int:
    """A whole number that is large enough.

    Raises:
        ConfigurationError: When it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(f"`{name}` is a whole number, {least} or more; got {value!r}.")
    return value


def above_zero(name: str, value: Any, *, unit: str = "") -> float:
    """A number above 0, of seconds for example.

    Raises:
        ConfigurationError: When it is not.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        of_what = f" of {unit}" if unit else ""
        raise ConfigurationError(f"`{name}` is a number{of_what} above 0; got {value!r}.")
    return value
