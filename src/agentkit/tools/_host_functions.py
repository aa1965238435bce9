"""Functions of the host that sandboxed code may call: plain data in, plain data out."""

from __future__ import annotations

import asyncio
import builtins
import datetime
import decimal
import inspect
import keyword
import re
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar, get_args
from uuid import uuid4

from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import TypeAdapter

from agentkit._sync import in_thread
from agentkit._text import shortened, well_formed
from agentkit.errors import ConfigurationError
from agentkit.tools._making import Permission, is_untrusted, permission_of

Result = TypeVar("Result")
Called: TypeAlias = "tuple[Any, Sequence[Mapping[str, Any]]]"
"""What a function returned, and the sources that it names."""

MOST_VALUES = 100_000
_MOST_MESSAGE_CHARS = 1_000
_SCALARS = (
    *(bool, int, float, complex, str, bytes, type(None), decimal.Decimal),
    *(datetime.date, datetime.time, datetime.timedelta),
)
_CONTAINERS = (list, tuple, set, frozenset, dict)
# TimeoutError and MemoryError are left out: in the sandbox they mean that a limit was reached
_ERRORS = frozenset(
    {
        *(ArithmeticError, AssertionError, AttributeError, FileExistsError, FileNotFoundError),
        *(ImportError, IndexError, IsADirectoryError, KeyError, LookupError, NameError),
        *(NotADirectoryError, NotImplementedError, OverflowError, PermissionError, RuntimeError),
        *(TypeError, ValueError, ZeroDivisionError),
    }
)
_JSON_TYPES: Mapping[Any, Any] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "array": list,
    "object": dict,
}
_anything: TypeAdapter[Any] = TypeAdapter(Any)


@dataclass(frozen=True)
class HostFunction:
    """A function of the host under the name that sandboxed code calls it by.

    `call` returns its result and the sources that it names; `awaits` says that the code is to
    await it.
    """

    name: str
    signature: inspect.Signature
    description: str
    awaits: bool
    permission: Permission
    untrusted: bool
    call: Callable[..., Coroutine[Any, Any, Called]]

    @property
    def declaration(self) -> str:
        """The function's first line and what it does, as a model is told."""
        head = f"{'async ' * self.awaits}def {self.name}{self.signature}"
        return f"{head}: {self.description}" if self.description else head


def host_functions(given: Iterable[Callable[..., Any] | BaseTool]) -> dict[str, HostFunction]:
    """Functions and LangChain tools by the names that sandboxed code calls them by.

    Raises:
        ConfigurationError: When one cannot be called from the sandbox, or two have one name.
    """
    found: dict[str, HostFunction] = {}
    for each in given:
        function = _of_tool(each) if isinstance(each, BaseTool) else _of_callable(each)
        if function.name in found:
            raise ConfigurationError(
                f"Two functions are called {function.name!r}: give each a name of its own."
            )
        found[function.name] = function
    return found


def strongest(functions: Iterable[HostFunction]) -> Permission:
    """The most that any of the functions may do; `read` where there are none."""
    order: Sequence[Permission] = get_args(Permission)
    return max((each.permission for each in functions), key=order.index, default="read")


def plain(value: Any, *, whose: str) -> Any:
    """The value, if it is numbers, text, bytes, dates and containers of these.

    Raises:
        TypeError: When it holds anything else, or more than a hundred thousand values.
    """
    for number, part in enumerate(_parts(value)):
        if number == MOST_VALUES:
            raise TypeError(f"{whose} holds more than {MOST_VALUES:,} values.")
        if not isinstance(part, (*_SCALARS, *_CONTAINERS)):
            raise TypeError(
                f"{whose} is or holds a {type(part).__name__}: only numbers, text, bytes, dates "
                "and lists, tuples, sets and dicts of these pass between the sandbox and its host."
            )
    return value


def plain_result(value: Any, *, whose: str) -> Any:
    """What a function returned as plain data; pydantic models and dataclasses become dicts."""
    return plain(_anything.dump_python(value), whose=whose)


def as_raised_inside(error: Exception) -> Exception:
    """An error of the host as sandboxed code sees it: a built-in type and a short message."""
    kind = next((each for each in type(error).__mro__ if each in _ERRORS), RuntimeError)
    message = shortened(well_formed(str(error)), _MOST_MESSAGE_CHARS)
    if kind is not type(error):
        message = f"{type(error).__name__}: {message}"
    return kind(message)


def _parts(value: Any) -> Iterator[Any]:
    """The value and all that it holds; without end where it holds itself."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, dict):
            waiting.extend([*part.keys(), *part.values()])
        elif isinstance(part, _CONTAINERS):
            waiting.extend(part)


def _of_callable(function: Callable[..., Any]) -> HostFunction:
    name = _callable_name(getattr(function, "__name__", ""), function)
    awaits = inspect.iscoroutinefunction(function)

    async def call(*args: Any, **kwargs: Any) -> Called:
        if awaits:
            return await function(*args, **kwargs), ()
        running = in_thread(
            lambda: _no_stop(lambda: function(*args, **kwargs)), name="agentkit-function"
        )
        return await asyncio.wrap_future(running), ()

    return HostFunction(
        name=name,
        signature=_signature(function),
        description=_first_paragraph(inspect.getdoc(function) or ""),
        awaits=awaits,
        permission="write",  # as of a tool that does not say
        untrusted=False,
        call=call,
    )


def _of_tool(tool: BaseTool) -> HostFunction:
    name = _callable_name(re.sub(r"\W", "_", tool.name), tool)
    signature = _tool_signature(tool)
    # its failures are to be exceptions here, and not texts that pass for results
    raising = tool.model_copy(update={"handle_tool_error": False, "handle_validation_error": False})

    async def call(*args: Any, **kwargs: Any) -> Called:
        arguments = signature.bind(*args, **kwargs).arguments
        if tool.response_format == "content":
            return await raising.ainvoke(arguments), ()
        request = {"type": "tool_call", "id": str(uuid4()), "name": tool.name, "args": arguments}
        return _told(await raising.ainvoke(request))

    return HostFunction(
        name=name,
        signature=signature,
        description=_first_paragraph(tool.description),
        awaits=False,
        permission=permission_of(tool),
        untrusted=is_untrusted(tool),
        call=call,
    )


def _told(message: ToolMessage) -> Called:
    """The artifact of a tool of agentkit, which code reads more easily, or else the text."""
    artifact = message.artifact
    if isinstance(artifact, Mapping) and "sources" in artifact:
        return dict(artifact), artifact["sources"]
    return message.text, ()


def _callable_name(name: str, what: object) -> str:
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise ConfigurationError(
            f"Sandboxed code cannot call {what!r} by the name {name!r}: give it as a function "
            "whose name is a Python name that does not begin with an underscore."
        )
    if hasattr(builtins, name):
        raise ConfigurationError(
            f"A function called {name!r} would be hidden by Python's own: give it another name."
        )
    return name


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except NameError:  # an annotation whose module is only imported for type checkers
        return inspect.signature(function)


def _tool_signature(tool: BaseTool) -> inspect.Signature:
    schema = convert_to_openai_tool(tool)["function"].get("parameters", {})
    required = set(schema.get("required", ()))
    properties = schema.get("properties", {})
    names = sorted(properties, key=lambda name: name not in required)
    try:
        return inspect.Signature(
            [_parameter(name, properties[name], name in required) for name in names]
        )
    except ValueError as error:
        raise ConfigurationError(
            f"The tool {tool.name!r} cannot be called from Python code: {error}. Give a function "
            "that calls it."
        ) from error


def _parameter(name: str, schema: Mapping[str, Any], required: bool) -> inspect.Parameter:
    return inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=inspect.Parameter.empty if required else schema.get("default"),
        annotation=_JSON_TYPES.get(str(schema.get("type")), inspect.Parameter.empty),
    )


def _first_paragraph(text: str) -> str:
    return " ".join(text.strip().split("\n\n")[0].split())


def _no_stop(call: Callable[[], Result]) -> Result:
    try:
        return call()
    except StopIteration as error:  # a coroutine cannot raise one
        raise RuntimeError(f"StopIteration: {error}") from error
