"""Running a graph, or whatever can be asked, on one example, and seeing what it does."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Any, TypeAlias
from uuid import uuid4

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from langgraph.types import Overwrite
from pydantic import BaseModel

from agentkit._numbers import above_zero
from agentkit._text import shortened, well_formed
from agentkit.errors import ConfigurationError
from agentkit.evaluation.results import GraphRun, Step
from agentkit.evaluation.usage import Meter, counted_by
from agentkit.graphs.context import context_of
from agentkit.tools.documents import plain
from agentkit.tools.graph import answer_of

Askable: TypeAlias = Runnable[Any, Any] | Callable[..., Any] | Any
"""A graph, a runnable, an object with `ainvoke` or `invoke`, or a function of the inputs."""

_INTERRUPT = "__interrupt__"
_SHORT = 400
_PART = 120
_MOST_SHOWN = 8


class Subject:
    """What is evaluated.

    A graph runs apart from the user's conversations, and without its cache of nodes, which would
    hide what they take.

    Args:
        graph: A LangGraph graph, a runnable, an object with `ainvoke` or `invoke`, or a function
            of the inputs, sync or async.
        context: The context of every run, as the graph takes it.
        config: The LangChain configuration of every run.
        timeout: Seconds that a run may take; None for no limit.

    Raises:
        ConfigurationError: When it is nothing that can be run, or the context or time is none.
    """

    def __init__(
        self,
        graph: Askable,
        *,
        context: Any = None,
        config: RunnableConfig | None = None,
        timeout: float | None = None,
    ) -> None:
        if timeout is not None:
            above_zero("timeout", timeout, unit="seconds")
        self._runnable = _as_runnable(graph)
        _check_context(self._runnable, context)
        self._context = context
        self._config = config
        self._timeout = timeout
        self._takes_messages = _takes_messages(graph)
        self.name = _name(graph)

    async def run(self, inputs: Mapping[str, Any], meter: Meter) -> GraphRun:
        """Run it once; what goes wrong is the run's `error`.

        Args:
            inputs: What it is given.
            meter: Counts its calls of models.
        """
        watch = _Watch()
        output: Any = {}
        error = ""
        try:
            async with asyncio.timeout(self._timeout) as limit:
                with counted_by(meter):
                    output = await self._output(self._fitting(inputs), watch)
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            error = "The run was cancelled from inside."
        except Exception as failure:  # noqa: BLE001 - a run that fails is a result
            late = limit.expired() and isinstance(failure, TimeoutError)
            error = f"It took longer than {self._timeout:g} seconds." if late else _told(failure)
        seconds = watch.now
        returned = {} if error else _as_mapping(output)
        if _INTERRUPT in returned:
            returned, error = {}, _waits_for(returned[_INTERRUPT])
        return GraphRun(returned, error, seconds, meter.usage, watch.steps)

    async def _output(self, inputs: Any, watch: _Watch) -> Any:
        config = _in_own_thread(self._config)
        if not isinstance(self._runnable, Pregel):
            return await self._runnable.ainvoke(inputs, config)
        output: Any = None
        place: Any
        part: Any
        async for place, mode, part in self._runnable.astream(
            inputs,
            config,
            context=self._context,
            stream_mode=["values", "tasks"],
            output_keys=self._runnable.output_channels,
            subgraphs=True,
        ):
            if mode == "tasks":
                watch.see(place, part)
            elif not place:
                output = part
        return output

    def _fitting(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs, the question as a message where the graph takes nothing else."""
        given = copy.deepcopy(dict(inputs))  # a graph may change what it is given
        if not self._takes_messages or "question" not in inputs or "messages" in inputs:
            return given
        question = given.pop("question")
        return {**given, "messages": [{"role": "user", "content": question}]}


class _Watch:
    """Times a run and its nodes by the stream of its tasks."""

    def __init__(self) -> None:
        self._begin = time.perf_counter()
        self._started: dict[str, tuple[int, float]] = {}
        self._steps: dict[int, Step] = {}

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self._begin

    @property
    def steps(self) -> tuple[Step, ...]:
        """The nodes that ended or failed, in the order in which they began."""
        return tuple(self._steps[number] for number in sorted(self._steps))

    def see(self, place: Sequence[str], task: Mapping[str, Any]) -> None:
        """Take note of a task that begins or ends."""
        key, now = task["id"], self.now
        if "input" in task:
            self._started[key] = (len(self._started), now)
            return
        number, start = self._started.get(key, (len(self._started), now))
        within = [part.partition(":")[0] for part in place]
        error = "" if task.get("error") is None else _told(task["error"])
        update = short_update(task.get("result"))
        self._steps[number] = Step(
            "/".join([*within, task["name"]]), start, now - start, update, error
        )


def short_update(update: Any) -> dict[str, str]:
    """What a node changed, in short."""
    changed = update if isinstance(update, Mapping) else {"": update}
    values = {
        str(name): value.value if isinstance(value, Overwrite) else value
        for name, value in changed.items()
    }
    return {name: short(value) for name, value in values.items() if not _is_empty(value)}


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, Sized) and len(value) == 0)


def short(value: Any, limit: int = _SHORT) -> str:
    """A value in a few words, on one line where it is no text."""
    if isinstance(value, str):
        return shortened(well_formed(value), limit)
    if isinstance(value, Document):
        told = f"{value.id or 'a document'}: {' '.join(value.page_content.split())[:80]}"
    elif isinstance(value, BaseMessage):
        calls = ", ".join(call["name"] for call in getattr(value, "tool_calls", ()))
        told = f"{value.type}: {value.text}" + (f" → {calls}" if calls else "")
    elif isinstance(value, Mapping) and {"role", "content"} <= value.keys():
        told = f"{value['role']}: {short(value['content'], limit)}"
    elif isinstance(value, Mapping):
        kept = {name: part for name, part in value.items() if not _is_empty(part)}
        told = ", ".join(f"{name}: {short(part, _PART)}" for name, part in kept.items())
    elif isinstance(value, list | tuple):
        told = " · ".join(short(each, _PART) for each in value[:_MOST_SHOWN])
        told += f" · and {len(value) - _MOST_SHOWN} more" if len(value) > _MOST_SHOWN else ""
    else:
        told = str(plain(value))
    return shortened(well_formed(told), limit)


def _as_runnable(graph: Askable) -> Runnable[Any, Any]:
    if isinstance(graph, Pregel):
        saver = InMemorySaver() if graph.checkpointer else None
        return graph.copy(update={"cache": None, "checkpointer": saver})
    if isinstance(graph, Runnable):
        return graph
    for method in ("ainvoke", "invoke"):
        if callable(found := getattr(graph, method, None)):
            return RunnableLambda(found)
    if callable(graph) and not isinstance(graph, type):
        return RunnableLambda(graph)
    hint = " It is not compiled yet: call its compile()." if hasattr(graph, "compile") else ""
    raise ConfigurationError(
        "What is evaluated is a graph, a runnable, an object with `ainvoke` or `invoke`, or a "
        f"function of the inputs; got {type(graph).__name__}.{hint}"
    )


def _name(graph: Askable) -> str:
    if isinstance(graph, Runnable):
        return graph.get_name()
    return str(getattr(graph, "__name__", None) or type(graph).__name__)


def _takes_messages(graph: Askable) -> bool:
    """Whether a graph takes messages, and no question."""
    if not isinstance(graph, CompiledStateGraph):
        return False
    taken = graph.builder.schemas[graph.builder.input_schema]
    return "messages" in taken and "question" not in taken


def _in_own_thread(given: RunnableConfig | None) -> RunnableConfig:
    """The configuration with a thread for this run alone, where it names none."""
    config: RunnableConfig = {**(given or {})}
    config["configurable"] = {"thread_id": str(uuid4()), **config.get("configurable", {})}
    return config


def _as_mapping(output: Any) -> dict[str, Any]:
    """What was returned as a state: with an `answer`, where there is a text or a last message."""
    if isinstance(output, BaseMessage):
        return {"answer": output.text, "messages": [output]}
    if isinstance(output, str):
        return {"answer": output}
    if not isinstance(output, Mapping):
        return {"output": output}
    returned = dict(output)
    if "answer" not in returned and "messages" in returned and (said := answer_of(returned)):
        returned["answer"] = said
    return returned


def _check_context(runnable: Runnable[Any, Any], context: Any) -> None:
    """Refuse beforehand what every run would refuse."""
    if context is None:
        return
    if not isinstance(runnable, Pregel):
        raise ConfigurationError("context= is for a LangGraph graph; this is none.")
    schema = getattr(runnable, "context_schema", None)
    if isinstance(context, dict) and isinstance(schema, type) and issubclass(schema, BaseModel):
        context_of(schema, context)


def _waits_for(interrupts: Any) -> str:
    asked = short(getattr(interrupts[0], "value", interrupts[0])) if interrupts else ""
    return f"The graph waits for a person, which nobody can answer here: {asked}"


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
