"""What commands take by name: graphs and values, and files that are to be written."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentkit import _importing
from agentkit.errors import ConfigurationError


def named_object(spec: str, what: str) -> Any:
    """What `module:attribute` names; modules of the working directory are found too.

    Raises:
        ConfigurationError: When there is no such module or attribute.
    """
    import_from_here()
    return _importing.named_object(spec, what)


def import_from_here() -> None:
    """Let modules of the working directory be imported, as `python -m` does."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)


def named_graph(spec: str, config: Path) -> Any:
    """A graph by `module:attribute`, or by its name in a `langgraph.json`.

    Raises:
        ConfigurationError: When there is none.
    """
    if ":" not in spec:
        from agentkit.serving import load_graphs

        return load_graphs(config, names=[spec])[spec].graph
    found = named_object(spec, "graph")
    return found.compile() if hasattr(found, "compile") and not hasattr(found, "invoke") else found


def pairs(given: Sequence[str] | None, what: str) -> dict[str, str]:
    """Options of the form name=value.

    Raises:
        ConfigurationError: When one is not of that form.
    """
    told = [each.partition("=") for each in given or ()]
    if wrong := [name for name, equals, _ in told if not name or not equals]:
        raise ConfigurationError(f"{what}; got {wrong[0]!r}.")
    return {name: value for name, _, value in told}


def value_of(told: str) -> Any:
    """A value as it is written: JSON, or what `module:attribute` names, or else a text."""
    try:
        return json.loads(told)
    except ValueError:
        pass
    module, colon, _ = told.partition(":")
    if colon and all(part.isidentifier() for part in module.split(".")):
        return named_object(told, "value")
    return told


def check_writable(*files: Path | None) -> None:
    """See beforehand that files can be written, which is worth hours of runs.

    Raises:
        ConfigurationError: When one cannot.
    """
    for file in files:
        if file is None:
            continue
        folder = file.parent
        if file.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
            why = "it is a folder" if file.is_dir() else f"{folder} is no folder to write to"
            raise ConfigurationError(f"{file} cannot be written: {why}.")
