"""What `module:attribute` names."""

from __future__ import annotations

import importlib
from typing import Any

from agentkit.errors import ConfigurationError


def named_object(spec: str, what: str) -> Any:
    """What `module:attribute` names.

    Args:
        spec: Such as `my_app.graphs:graph`.
        what: What it is to be, for the error.

    Raises:
        ConfigurationError: When there is no such module or attribute.
    """
    module, _, path = spec.partition(":")
    if not module or not path:
        raise ConfigurationError(f"A {what} is named by module:attribute; got {spec!r}.")
    try:
        found = importlib.import_module(module)
    except (ImportError, TypeError) as error:
        raise ConfigurationError(f"{spec!r} names no {what}: {error}.") from error
    for name in path.split("."):
        if not hasattr(found, name):
            raise ConfigurationError(f"{spec!r} names no {what}: {module} has no {name!r}.")
        found = getattr(found, name)
    return found
