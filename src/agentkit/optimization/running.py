"""Running a graph under given prompt texts, and seeing what each of its prompts was asked."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import uuid4

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import convert_to_messages
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.state import CompiledStateGraph
from pydantic import BaseModel

from agentkit.errors import BudgetError, ConfigurationError, InvalidInputError, PromptOutputError
from agentkit.graphs.context import GraphContext, context_of
from agentkit.graphs.questions import read_input
from agentkit.optimization.calls import Calls, one_run
from agentkit.prompts import TEXT, Prompt, PromptSet, prompts_of, runner

Graph: TypeAlias = CompiledStateGraph[Any, Any, Any, Any]
Ask: TypeAlias = Callable[
    [Prompt[Any], BaseChatModel, Mapping[str, Any]], Awaitable["str | BaseModel"]
]

_INTERRUPT = "__interrupt__"


@dataclass(frozen=True)
class PromptCall:
    """One call of a prompt.

    Args:
        name: The prompt's name.
        inputs: A value for each of its inputs.
        outputs: A value for each of its outputs; none where it failed.
        error: What was wrong with the reply.
    """

    name: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class GraphRun:
    """What came of one run of a graph.

    Args:
        output: The graph's output; empty where it failed.
        calls: What its prompts were asked, in the order in which they answered.
        error: What it failed with.
        texts: The texts of the prompts that it was run with.
    """

    output: Mapping[str, Any]
    calls: Sequence[PromptCall]
    error: Exception | None = None
    texts: PromptSet = field(default_factory=PromptSet)


class TunableGraph:
    """A graph that can be run under other prompt texts than it was built with.

    Args:
        graph: A compiled graph; its checkpointer and its cache are left out of the runs.
        prompts: The prompts that may be given other texts; None for all of the graph's. A graph
            that agentkit did not make needs them told.
        context: The context of every run, as the graph takes it.
        config: The LangChain configuration of every run.
        calls: Makes the calls of chat models; None for the models themselves.

    Raises:
        ConfigurationError: When there is no such prompt, or none at all.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        prompts: Sequence[str | Prompt[Any]] | None = None,
        context: Any = None,
        config: RunnableConfig | None = None,
        calls: Calls | None = None,
    ) -> None:
        self.prompts = chosen_prompts(graph, prompts)
        self.name = graph.name or "graph"
        self._graph = graph.copy(update={"cache": None, "checkpointer": _saver(graph)})
        schema = graph.context_schema
        made_here = isinstance(schema, type) and issubclass(schema, GraphContext)
        self._schema: type[GraphContext] | None = schema if made_here else None
        self._settings = self._of_context(context) if made_here else None
        self._context = context
        self._config = config
        self._calls = calls

    @property
    def model(self) -> BaseChatModel | None:
        """The chat model of the runs, where the graph says which."""
        return self._settings.chat_model if self._settings is not None else None

    @property
    def texts(self) -> PromptSet:
        """The texts of the prompts that may be given others, as they are now."""
        now = self._settings.prompt_set if self._settings is not None else PromptSet()
        return PromptSet({name: now.get(name) or prompt for name, prompt in self.prompts.items()})

    @property
    def fingerprints(self) -> dict[str, str]:
        """The fingerprints of the prompts, as the code declares them."""
        declared = self._schema.own_prompts if self._schema is not None else {}
        return {
            name: declared.get(name, prompt).fingerprint for name, prompt in self.prompts.items()
        }

    async def run(
        self,
        inputs: Mapping[str, Any],
        texts: PromptSet,
        *,
        ask: Ask | None = None,
        sample: int = 0,
        temperature: float | None = None,
    ) -> GraphRun:
        """Run the graph once.

        Args:
            inputs: What the graph is invoked with.
            texts: The texts of its prompts.
            ask: What asks a prompt; None for the prompt itself.
            sample: Runs that ask the same get the same replies, except under another number.
            temperature: The models' sampling temperature, where they take one.

        Returns:
            The output, or what the run failed with.

        Raises:
            BudgetError: When the budget was used up on the way.
        """
        asking = _Asking(texts, ask or asked_itself, self._calls, temperature)
        token = runner.set(asking)
        output: Mapping[str, Any] = {}
        failure: Exception | None = None
        try:
            with one_run(sample):
                output = await self._graph.ainvoke(
                    dict(inputs), self._configured(), context=self._in_context(texts, temperature)
                )
        except Exception as error:  # noqa: BLE001 - a run that fails is scored as such
            failure = error
        finally:
            runner.reset(token)
        if self._calls is not None and (refusal := self._calls.meter.refusal):
            # a step that may fail has gone on without it, which is no result
            raise BudgetError(refusal) from failure
        if _INTERRUPT in output:
            failure = InvalidInputError(
                "The graph stopped to ask a person. Approve beforehand what it may do."
            )
        if failure is not None:
            return GraphRun({}, asking.calls, failure, texts)
        calls = [*asking.calls, *self._standing_calls(inputs, output)]
        return GraphRun(output, calls, texts=texts)

    def _of_context(self, context: Any) -> GraphContext:
        if self._schema is None:
            raise ConfigurationError("The graph's context is not one of agentkit's.")
        if isinstance(context, GraphContext):
            context = {name: getattr(context, name) for name in context.model_fields_set}
        return context_of(self._schema, context or {})

    def _in_context(self, texts: PromptSet, temperature: float | None) -> Any:
        settings = self._settings
        if settings is None or self._schema is None:
            return self._context
        given = {name: getattr(settings, name) for name in settings.model_fields_set}
        known = {name: text for name, text in texts.items() if name in self._schema.own_prompts}
        given["prompts"] = settings.prompt_set | PromptSet(known)
        if self._calls is not None:
            given["model"] = self._calls.of(settings.chat_model, temperature=temperature)
            given["temperature"] = None  # the model has it
        return self._schema(**given)

    def _configured(self) -> RunnableConfig:
        config: RunnableConfig = {**(self._config or {})}
        if self._graph.checkpointer:
            config["configurable"] = {**config.get("configurable", {}), "thread_id": str(uuid4())}
        return config

    def _standing_calls(
        self, inputs: Mapping[str, Any], output: Mapping[str, Any]
    ) -> list[PromptCall]:
        """What the prompts that stand in others' requests had a part in: the whole run."""
        standing = [prompt for prompt in self.prompts.values() if prompt.standing]
        if not standing:
            return []
        messages = convert_to_messages(inputs.get("messages") or [])
        asked = read_input({**inputs, "messages": messages}, max_chars=sys.maxsize)
        outputs = {TEXT: str(output.get("answer", ""))}
        return [
            PromptCall(prompt.name, dict.fromkeys(prompt.inputs, asked.question), outputs)
            for prompt in standing
        ]


class _Asking:
    """Asks the prompts of one run, and notes what they were asked."""

    def __init__(
        self, texts: PromptSet, ask: Ask, calls: Calls | None, temperature: float | None
    ) -> None:
        self.calls: list[PromptCall] = []
        self._texts = texts
        self._ask = ask
        self._kept = calls
        self._temperature = temperature

    async def __call__(
        self, prompt: Prompt[Any], model: BaseChatModel, inputs: Mapping[str, Any]
    ) -> str | BaseModel:
        prompt = prompt.using(self._texts)
        if self._kept is not None:
            model = self._kept.of(model, temperature=self._temperature)
        try:
            output = await self._ask(prompt, model, inputs)
        except PromptOutputError as error:
            self.calls.append(PromptCall(prompt.name, inputs, error=str(error)))
            raise
        self.calls.append(PromptCall(prompt.name, inputs, outputs_of(prompt, output)))
        return output


async def asked_itself(
    prompt: Prompt[Any], model: BaseChatModel, inputs: Mapping[str, Any]
) -> str | BaseModel:
    """A prompt's output, as at run time."""
    with by_itself():
        output: str | BaseModel = await prompt.ainvoke(model, **inputs)
        return output


@contextlib.contextmanager
def by_itself() -> Iterator[None]:
    """Prompts inside are asked as at run time."""
    token = runner.set(None)
    try:
        yield
    finally:
        runner.reset(token)


def outputs_of(prompt: Prompt[Any], output: str | BaseModel) -> dict[str, Any]:
    """A value for each of a prompt's outputs."""
    if isinstance(output, str):
        return {TEXT: output}
    return {name: getattr(output, name) for name in prompt.output_fields}


def chosen_prompts(
    graph: Graph, prompts: Sequence[str | Prompt[Any]] | None
) -> dict[str, Prompt[Any]]:
    """The prompts that are meant, by name.

    Raises:
        ConfigurationError: When there is no such prompt, or none at all.
    """
    told = [each for each in prompts or () if isinstance(each, Prompt)]
    if prompts is not None and len(told) == len(prompts):
        chosen = {prompt.name: prompt for prompt in told}
    else:
        known = {**prompts_of(graph), **{prompt.name: prompt for prompt in told}}
        names = [each if isinstance(each, str) else each.name for each in prompts or known]
        if unknown := [name for name in names if name not in known]:
            raise ConfigurationError(
                f"The graph has no prompt {', '.join(map(repr, unknown))}. It has: "
                f"{', '.join(known) or 'none'}."
            )
        chosen = {name: known[name] for name in names}
    if not chosen:
        raise ConfigurationError("There is no prompt to tune.")
    return chosen


def _saver(graph: Graph) -> InMemorySaver | None:
    """Runs are kept apart from the user's conversations; some graphs cannot run without one."""
    return InMemorySaver() if graph.checkpointer else None
