"""What tells graphs and metrics apart, across processes: for the keys of what is kept of them."""

from __future__ import annotations

import dataclasses
import datetime
import dis
import enum
import functools
import hashlib
import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseLanguageModel
from langchain_core.vectorstores import VectorStore
from langgraph.pregel import Pregel
from pydantic import BaseModel

from agentkit.graphs.context import GraphContext
from agentkit.models import identity_of

_DEEPEST = 50
_MOST_PARTS = 500_000
_PLAIN = (
    str,
    bytes,
    int,
    float,
    type(None),
    enum.Enum,
    PurePath,
    re.Pattern,
    datetime.date,
    datetime.timedelta,
)
_FILLED_IN_USE = (list, dict, set, bytearray)
"""What functions and plain objects note and keep as they run, and are not told apart by."""

_MADE_WITH = (*_PLAIN, tuple, frozenset, types.FunctionType, types.MethodType, BaseModel)
"""What a private attribute holds when an object was made with it."""


def identity(thing: Any, *more: Any) -> str:
    """What a graph, a metric or a value is, as far as can be seen, as a hash.

    Seen are the nodes and edges of a graph, the code of functions with what they enclose, the
    settings and prompts of agentkit's graphs, chat models and embeddings by what they call
    themselves, the fields of dataclasses and pydantic objects, and the numbers and texts that
    plain objects were made with. An object may say by itself what it is, in a text called
    `fingerprint`. Not seen are databases and servers, and lists and dicts that functions and
    plain objects keep for themselves.

    Args:
        thing: The graph, the metric or a value.
        more: Further values that tell apart.
    """
    seer = _Seer()
    parts = [part for each in (thing, *more) for part in seer.parts(each, 0)]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


class _Seer:
    """Walks through an object once: what is met again is not entered again."""

    def __init__(self) -> None:
        self._met: dict[int, Any] = {}
        self._left = _MOST_PARTS

    def parts(self, value: Any, depth: int) -> Iterator[str]:
        """What tells a value apart, as texts in a fixed order."""
        self._left -= 1
        if isinstance(value, _PLAIN):
            yield f"{type(value).__name__}:{value!r}"
            return
        yield _class_name(value)
        if id(value) in self._met or depth > _DEEPEST:
            return
        self._met[id(value)] = value  # and holds it, so that its id stays its own
        for part in self._inside(value):
            if self._left > 0:
                yield from self.parts(part, depth + 1)

    def _inside(self, value: Any) -> Iterator[Any]:
        """The parts of a value that is not plain."""
        if isinstance(value, GraphContext):
            yield _fields(value)
        elif isinstance(told := _told(value), str):
            yield told
        elif isinstance(value, Mapping | set | frozenset | Sequence):
            yield from _of_container(value)
        elif isinstance(value, type):
            yield from _of_class(value)
        elif isinstance(value, Pregel):
            yield from _of_graph(value)
        elif (parts := _of_code(value)) is not None:
            yield from parts
        else:
            yield from _of_object(value)


def _told(value: Any) -> str | None:
    """What a value says that it is."""
    if isinstance(value, type):
        return None
    if isinstance(value, BaseLanguageModel) and hasattr(value, "_get_llm_string"):
        return str(value._get_llm_string())
    if isinstance(value, Embeddings):
        return identity_of(value)
    if isinstance(told := getattr(value, "fingerprint", None), str):
        return told
    if hasattr(value, "tobytes") and hasattr(value, "dtype"):
        return hashlib.sha256(value.tobytes()).hexdigest()
    return None


def _of_container(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for key in sorted(value, key=repr):
            yield from (key, value[key])
    elif isinstance(value, set | frozenset):
        yield from sorted(value, key=repr)
    else:
        yield from value


def _of_code(value: Any) -> Iterable[Any] | None:
    """The parts of what can be called; None for any other object."""
    if isinstance(value, types.FunctionType):
        return _of_function(value)
    if isinstance(value, types.MethodType):
        return (value.__func__, value.__self__)
    if isinstance(value, functools.partial):
        return (value.func, value.args, value.keywords)
    if isinstance(value, types.CodeType):
        return (value.co_code, value.co_names, *value.co_consts)
    if isinstance(value, types.ModuleType | types.BuiltinFunctionType):
        return (value.__name__,)
    return None


def _of_function(function: types.FunctionType) -> Iterator[Any]:
    code = function.__code__
    yield from (function.__qualname__, code, function.__defaults__, function.__kwdefaults__)
    written = {each.argval for each in dis.get_instructions(code) if each.opname == "STORE_DEREF"}
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        if name not in written and not isinstance(held := _held(cell), _FILLED_IN_USE):
            yield from (name, held)


def _held(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing yet
        return None


def _of_class(cls: type) -> Iterator[Any]:
    """A class: the settings of a graph's, and the code of any other's own methods."""
    if issubclass(cls, GraphContext):
        yield from (cls.defaults.fingerprint, _fields(cls.defaults))
    else:
        own = vars(cls)
        yield [each for each in own.values() if isinstance(each, types.FunctionType)]


def _of_graph(graph: Pregel[Any, Any, Any, Any]) -> Iterator[Any]:
    drawn = graph.get_graph()
    yield from (graph.get_name(), graph.context_schema)
    yield sorted((edge.source, edge.target, edge.conditional) for edge in drawn.edges)
    for name in sorted(graph.nodes):
        yield from (name, graph.nodes[name].bound)
    yield getattr(getattr(graph, "builder", None), "branches", None)


def _of_object(value: Any) -> Iterator[Any]:
    if dataclasses.is_dataclass(value):
        yield {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    elif isinstance(value, BaseModel):
        yield _fields(value)
    else:
        kind = type(value)
        attributes = getattr(value, "__dict__", {})
        whole = _holds_data(value)
        yield {
            name: part
            for name, part in attributes.items()
            if not _is_filled_in_use(name, part, kind, whole=whole)
        }
        yield getattr(kind, "__call__", None)  # noqa: B004 - its code is what is wanted


def _fields(value: BaseModel) -> dict[str, Any]:
    return {name: getattr(value, name) for name in sorted(type(value).model_fields)}


def _is_filled_in_use(name: str, part: Any, kind: type, *, whole: bool) -> bool:
    """Whether an attribute may be what an object came to know as it was used."""
    if isinstance(getattr(kind, name, None), functools.cached_property):
        return True
    if name.startswith("_"):
        made_with = isinstance(part, _MADE_WITH) or _told(part) is not None
        return part is None or not made_with
    return not whole and isinstance(part, _FILLED_IN_USE)


def _holds_data(value: Any) -> bool:
    """Whether what it holds is what is searched."""
    return isinstance(value, VectorStore)


def _class_name(value: Any) -> str:
    kind = value if isinstance(value, type) else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"
