"""The graphs of a `langgraph.json`, as LangGraph's own server loads them."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import os
import sys
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph

from agentkit._sync import run_sync
from agentkit.errors import AgentkitError, ConfigurationError


@dataclass(frozen=True)
class ServedGraph:
    """A graph, and what is said of it."""

    graph: CompiledStateGraph[Any, Any, Any, Any]
    description: str = ""


def load_graphs(
    file: str | Path = "langgraph.json", *, names: Sequence[str] | None = None
) -> dict[str, ServedGraph]:
    """The graphs that a `langgraph.json` names, by name.

    Its modules are run, its folder and its local dependencies can be imported from, and the
    variables of its `env` are set where the environment does not set them.

    Args:
        file: The file.
        names: Which graphs; None for all.

    Raises:
        ConfigurationError: When the file, or what it names, is not there, not of that kind, or
            cannot be loaded.

    Source: the configuration file of the LangGraph CLI.
    """
    path = Path(file).resolve()
    told = read_config(path)
    entries = told["graphs"]
    wanted = list(entries) if names is None else list(names)
    if unknown := [name for name in wanted if name not in entries]:
        raise ConfigurationError(
            f"{path.name} names no graph {', '.join(map(repr, unknown))}; it names "
            f"{', '.join(map(repr, entries)) or 'none'}."
        )
    _set_environment(told.get("env"), path.parent)
    _import_from(path.parent, told.get("dependencies") or ())
    return {name: _load(name, entries[name], path.parent) for name in wanted}


def read_config(path: Path) -> dict[str, Any]:
    """What a `langgraph.json` says.

    Raises:
        ConfigurationError: When it is not there or not of that kind.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"There is no {path}. Name the file by --config, or run the command in the folder of "
            "a LangGraph app."
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(told, dict) or not isinstance(told.get("graphs"), dict):
        raise ConfigurationError(f'{path} is no langgraph.json: it has no "graphs" object.')
    return told


def _set_environment(env: Any, folder: Path) -> None:
    if isinstance(env, str):
        from dotenv import dotenv_values

        env = dotenv_values(folder / env)
    for name, value in (env or {}).items():
        if value is not None:
            os.environ.setdefault(name, str(value))


def _import_from(folder: Path, dependencies: Sequence[str]) -> None:
    local = [folder / item for item in dependencies if item.startswith(".")]
    for place in (str(item.resolve()) for item in [*local, folder]):
        if place not in sys.path:
            sys.path.insert(0, place)


def _load(name: str, entry: Any, folder: Path) -> ServedGraph:
    told = entry if isinstance(entry, Mapping) else {"path": entry}
    where, _, variable = str(told.get("path") or "").rpartition(":")
    if not where or not variable:
        raise ConfigurationError(
            f'The graph {name!r} is named by "path/to/file.py:variable"; got {told.get("path")!r}.'
        )
    try:
        graph = _graph(name, _value(name, where, variable, folder))
    except AgentkitError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"The graph {name!r} cannot be loaded from {where}: {type(error).__name__}: {error}"
        ) from error
    return ServedGraph(graph, str(told.get("description") or ""))


def _value(name: str, where: str, variable: str, folder: Path) -> Any:
    module = _module(name, where, folder)
    if not hasattr(module, variable):
        raise ConfigurationError(f"{where} has no {variable!r}, which is to be the graph {name!r}.")
    return getattr(module, variable)


def _module(name: str, where: str, folder: Path) -> ModuleType:
    if not where.endswith(".py"):
        return importlib.import_module(where)
    file = folder / where
    spec = importlib.util.spec_from_file_location(f"agentkit_served_{name}", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise ConfigurationError(f"There is no {file}, which is to hold the graph {name!r}.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _graph(name: str, value: Any) -> CompiledStateGraph[Any, Any, Any, Any]:
    if inspect.isfunction(value):  # a factory takes the run's configuration, or nothing
        value = value({}) if inspect.signature(value).parameters else value()
    if inspect.isawaitable(value):
        waiting = value
        value = run_sync(lambda: _waited(waiting))
    if isinstance(value, StateGraph):
        value = value.compile()
    if not isinstance(value, CompiledStateGraph):
        raise ConfigurationError(
            f"The graph {name!r} is a compiled graph, a StateGraph or a function that returns one; "
            f"got {type(value).__name__}."
        )
    return value


async def _waited(waiting: Awaitable[Any]) -> Any:
    return await waiting
