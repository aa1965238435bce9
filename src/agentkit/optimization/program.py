"""A graph as a DSPy program: one predictor a prompt, and the graph's own messages and model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    convert_to_openai_messages,
)
from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel, ValidationError

from agentkit._structured import StructuredCall
from agentkit._sync import run_sync
from agentkit.errors import (
    BudgetError,
    ConfigurationError,
    MissingExtraError,
    PromptOutputError,
)
from agentkit.optimization.calls import Calls
from agentkit.optimization.running import (
    Graph,
    GraphRun,
    PromptCall,
    TunableGraph,
    asked_itself,
    by_itself,
)
from agentkit.optimization.stopping import Gate, StoppedError
from agentkit.prompts import TEXT, Prompt, PromptSet, PromptText

try:
    import dspy
    from dspy import lm15
    from dspy.utils.exceptions import AdapterParseError
except ImportError as error:
    raise MissingExtraError("Optimising prompts with DSPy", "optimize") from error

if TYPE_CHECKING:
    from dspy.signatures.signature import Signature

_NAME = "agentkit/model-of-the-graph"
_OF_PREDICT = frozenset({"config", "demos", "lm", "new_signature", "prediction", "signature"})

# -- the model -------------------------------------------------------------------------------------


@dataclass
class _Asked:
    """What the engine answers: the prompt that is asked, its messages and its model.

    DSPy wraps what the engine fails with; `failure` is what the graph is to see.
    """

    prompt: Prompt[Any]
    messages: list[BaseMessage]
    model: BaseChatModel
    failure: Exception | None = None


_asked: ContextVar[_Asked] = ContextVar("agentkit_asked")


class GraphEngine:
    """A DSPy engine that answers with the LangChain model that the run of the graph has."""

    supports_response_schema = True

    async def complete(self, request: lm15.Request) -> lm15.Response:
        """The model's reply to the prompt that is being asked."""
        asked = _asked.get()
        try:
            with by_itself():
                return _response(request.model, await self._reply(asked))
        except Exception as error:
            asked.failure = error
            raise

    async def _reply(self, asked: _Asked) -> AIMessage:
        name, output = asked.prompt.name, asked.prompt.output
        config: RunnableConfig = {"run_name": f"prompt:{name}"}
        if not issubclass(output, BaseModel):
            return await asked.model.ainvoke(asked.messages, config)
        read = await StructuredCall(name, output, asked.model, config).ainvoke(asked.messages)
        return AIMessage(read.model_dump_json())

    async def aclose(self) -> None:
        """Nothing: the model is the graph's."""


class ChatModelEngine:
    """A DSPy engine that answers with one LangChain model, for what an optimiser itself asks.

    Args:
        model: The model; None where nothing is to be asked.
        calls: Keeps and counts its calls.
    """

    def __init__(self, model: BaseChatModel | None, calls: Calls | None = None) -> None:
        self._model = model
        self._calls = calls

    async def complete(self, request: lm15.Request) -> lm15.Response:
        """The model's reply."""
        model = self._model
        if model is None:
            raise ConfigurationError("The optimiser was given no model that writes instructions.")
        if self._calls is None:
            return _response(request.model, await model.ainvoke(_messages(request)))
        model = self._calls.of(model, temperature=request.config.temperature)
        with self._calls.writing():
            return _response(request.model, await model.ainvoke(_messages(request)))

    async def aclose(self) -> None:
        """Nothing: the model is the caller's."""


class _InThread:
    """The same engine for DSPy's sync calls."""

    supports_response_schema = True

    def __init__(self, engine: GraphEngine | ChatModelEngine) -> None:
        self._engine = engine

    def complete(self, request: lm15.Request) -> lm15.Response:
        try:
            return run_sync(lambda: self._engine.complete(request))
        except BudgetError as error:
            raise StoppedError(str(error)) from error

    def close(self) -> None:
        """Nothing: the model is the caller's."""


def lm_of(engine: GraphEngine | ChatModelEngine, name: str = _NAME) -> dspy.LM:
    """A DSPy language model that an engine answers; it keeps no replies by itself."""
    return dspy.LM(name, engine=_InThread(engine), async_engine=engine, cache=False, num_retries=0)


def _response(name: str, reply: AIMessage) -> lm15.Response:
    usage: Mapping[str, Any] = reply.usage_metadata or {}
    return lm15.Response(
        id=reply.id,
        model=name,
        message=lm15.Message.assistant([lm15.TextPart(reply.text)]),
        finish_reason="stop",
        usage=lm15.Usage(
            input_tokens=usage.get("input_tokens"),
            output_tokens=usage.get("output_tokens"),
            total_tokens=usage.get("total_tokens"),
        ),
    )


def _messages(request: lm15.Request) -> list[BaseMessage]:
    system = request.system
    if system is not None and not isinstance(system, str):
        system = "".join(part.text for part in system)
    kinds = {"user": HumanMessage, "developer": SystemMessage, "assistant": AIMessage}
    told: list[BaseMessage] = [SystemMessage(system)] if system else []
    return [*told, *(kinds[each.role](each.text or "") for each in request.messages)]


# -- the adapter -----------------------------------------------------------------------------------


class PromptAdapter(dspy.Adapter):  # type: ignore[misc]
    """Renders the very messages that a prompt renders, and reads the reply as the prompt does.

    Args:
        prompt: The prompt, with the text that its predictor has.
        model: The model that it is asked of.
    """

    def __init__(self, prompt: Prompt[Any], model: BaseChatModel) -> None:
        super().__init__()
        self.prompt = prompt
        self.model = model

    async def acall(
        self,
        lm: dspy.LM,
        lm_kwargs: dict[str, Any],  # noqa: ARG002 - the temperature is the run's
        signature: type[Signature],
        demos: list[Any],  # noqa: ARG002 - the prompt has them, and its instructions
        inputs: dict[str, Any],
    ) -> list[dict[str, Any]]:
        """Ask the model that the run of the graph has."""
        messages = self._rendered(inputs)
        asked = _Asked(self.prompt, messages, self.model)
        token = _asked.set(asked)
        try:
            response = await lm.acall(_request(lm.model, messages))
        except Exception as error:
            if isinstance(asked.failure, PromptOutputError):
                raise _unread(signature, str(asked.failure), asked.failure) from error
            raise asked.failure or error  # noqa: B904 - with the cause that it has by itself
        finally:
            _asked.reset(token)
        return [self.parse(signature, response.text or "")]

    def format(
        self,
        signature: type[Signature],  # noqa: ARG002 - DSPy's interface
        demos: list[Any],  # noqa: ARG002
        inputs: dict[str, Any],
    ) -> list[dict[str, Any]]:
        """The messages, as DSPy shows them."""
        told: list[dict[str, Any]] = convert_to_openai_messages(self._rendered(inputs))
        return told

    def parse(self, signature: type[Signature], completion: str) -> dict[str, Any]:
        """A value for each field of the output.

        Raises:
            AdapterParseError: When the reply is not the prompt's output.
        """
        names = _Fields.of(self.prompt).outputs
        if not issubclass(self.prompt.output, BaseModel):
            return {names[TEXT]: completion}
        try:
            read = self.prompt.output.model_validate_json(completion)
        except ValidationError as error:
            raise _unread(signature, completion, error) from error
        return {field: getattr(read, name) for name, field in names.items()}

    def _rendered(self, inputs: dict[str, Any]) -> list[BaseMessage]:
        fields = _Fields.of(self.prompt).inputs
        return self.prompt.render({name: inputs[field] for name, field in fields.items()})


def _unread(signature: type[Signature], reply: str, error: Exception) -> AdapterParseError:
    return AdapterParseError(
        adapter_name="PromptAdapter", signature=signature, lm_response=reply, message=str(error)
    )


def _request(model: str, messages: Sequence[BaseMessage]) -> lm15.Request:
    """The messages as DSPy's callbacks see them; a message may not be empty there."""
    roles = {"human": lm15.Message.user, "ai": lm15.Message.assistant}
    system, *rest = messages
    return lm15.Request(
        model=model,
        system=system.text or None,
        messages=tuple(roles[each.type](each.text or " ") for each in rest),
    )


# -- the signature ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fields:
    """A prompt's inputs and outputs by the names that DSPy's fields have."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]

    @classmethod
    def of(cls, prompt: Prompt[Any]) -> _Fields:
        taken: set[str] = set()
        inputs = {name: _field_name(name, taken) for name in prompt.inputs}
        outputs = {
            name: _field_name(f"new_{name}" if name in inputs else name, taken)
            for name in prompt.output_fields
        }
        return cls(inputs, outputs)

    def demos(self, prompt: Prompt[Any], demos: Sequence[Any]) -> list[dict[str, Any]]:
        """The demos that a prompt can show: those that have every input and output."""
        if not prompt.takes_demos:
            return []
        names = {**self.inputs, **self.outputs}
        told = [{name: demo.get(field) for name, field in names.items()} for demo in demos]
        return [demo for demo in told if all(value is not None for value in demo.values())]


def _field_name(name: str, taken: set[str]) -> str:
    """The name, or one beside it where pydantic, DSPy or another field has a use for it."""
    while name in taken or name in _OF_PREDICT or hasattr(dspy.Signature, name):
        name += "_"
    taken.add(name)
    return name


def signature_of(prompt: Prompt[Any]) -> type[Signature]:
    """The DSPy signature of a prompt; no two prompts have equal ones."""
    fields = _Fields.of(prompt)
    told: dict[str, Any] = {
        field: (prompt.inputs[name], dspy.InputField(desc=f"{name}, for {prompt.name}"))
        for name, field in fields.inputs.items()
    }
    of_output = prompt.output.model_fields if issubclass(prompt.output, BaseModel) else {}
    for name, field in fields.outputs.items():
        kind = of_output[name].annotation if name in of_output else str
        described = of_output[name].description if name in of_output else None
        told[field] = (kind, dspy.OutputField(desc=described or name))
    signature: type[Signature] = dspy.Signature(
        told, prompt.instructions, signature_name=prompt.name
    )
    return signature


# -- the program -----------------------------------------------------------------------------------


class _Shared:
    """What the copies of a program share: a copied compiled graph does not run."""

    def __init__(self, graph: TunableGraph, gate: Gate, max_chars: int | None) -> None:
        self.graph = graph
        self.gate = gate
        self.max_chars = max_chars
        self.instructions: dict[tuple[str, str], str] = {}
        """The instructions to begin with, by prompt and by what DSPy made of them."""
        self.lm = lm_of(GraphEngine())

    def __copy__(self) -> _Shared:
        return self

    def __deepcopy__(self, _: Any) -> _Shared:
        return self


class GraphProgram(dspy.Module):  # type: ignore[misc]
    """A compiled graph as a DSPy module, with one `dspy.Predict` for each of its prompts.

    The graph runs as it is: its nodes ask their prompts, and each prompt is asked through its
    predictor, by the same messages and of the same model as outside DSPy. A prompt that is frozen
    has no predictor, and one that a run never reaches is no part of its trace.

    Args:
        graph: A compiled graph.
        prompts: The prompts to tune, by name; `Prompt`s where agentkit did not make the graph;
            None for all.
        freeze: Names of prompts to leave as they are.
        start: Texts to begin with; None for the graph's own.
        context: The context of every run.
        config: The LangChain configuration of every run.
        max_prompt_chars: Characters that instructions and demos of one prompt may have; demos
            beyond are left out, and longer instructions fail. None for no limit.

    Raises:
        ConfigurationError: When there is no such prompt.
        MissingExtraError: When DSPy is not installed.
    """

    def __init__(
        self,
        graph: Graph | TunableGraph,
        prompts: Sequence[str | Prompt[Any]] | None = None,
        *,
        freeze: Sequence[str] = (),
        start: PromptSet | None = None,
        context: Any = None,
        config: RunnableConfig | None = None,
        max_prompt_chars: int | None = None,
        gate: Gate | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(graph, TunableGraph):
            graph = TunableGraph(graph, prompts=prompts, context=context, config=config)
        self._shared = _Shared(graph, gate or Gate(), max_prompt_chars)
        texts = graph.texts | (start or PromptSet())
        self._frozen = PromptSet({name: texts[name] for name in graph.prompts if name in freeze})
        for name, prompt in graph.prompts.items():
            if name not in freeze:
                predictor = _predictor(prompt, texts[name])
                made = predictor.signature.instructions  # DSPy strips it, and fills an empty one
                self._shared.instructions[name, made] = texts[name].instructions
                setattr(self, name, predictor)

    @property
    def lm(self) -> dspy.LM:
        """The graph's own model, as DSPy calls it."""
        return self._shared.lm

    def texts(self) -> PromptSet:
        """The texts that the program has now, as they can be saved."""
        tuned = {name: self._text(name, each) for name, each in self.named_predictors()}
        return PromptSet({**self._frozen, **tuned})

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Run the graph."""
        # a run that is refused must end the optimiser, which takes errors for bad prompts
        with self._shared.gate.open():
            return run_sync(lambda: self.aforward(**inputs))

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        """Run the graph, async."""
        texts = self.texts()
        if told := self._too_long(texts):
            return _prediction(GraphRun({}, (), ConfigurationError(told), texts))
        predictors = dict(self.named_predictors())
        lm = next((each.lm for each in predictors.values() if each.lm), None) or dspy.settings.lm
        sampling = getattr(lm, "kwargs", {})

        async def ask(prompt: Prompt[Any], model: BaseChatModel, given: Mapping[str, Any]) -> Any:
            if prompt.name not in predictors:
                return await asked_itself(prompt, model, given)
            predictor = predictors[prompt.name]
            return await _through(predictor, prompt, model, given, self._shared.lm)

        run = await self._shared.graph.run(
            inputs,
            texts,
            ask=ask,
            sample=sampling.get("rollout_id") or 0,
            temperature=sampling.get("temperature"),
        )
        self._trace_standing(run.calls, predictors)
        return _prediction(run)

    def _text(self, name: str, predictor: dspy.Predict) -> PromptText:
        prompt = self._shared.graph.prompts[name]
        told = predictor.signature.instructions
        instructions = self._shared.instructions.get((name, told), told)
        demos = _Fields.of(prompt).demos(prompt, predictor.demos)
        most = self._shared.max_chars
        while most is not None and demos and PromptText(instructions, demos).size > most:
            demos.pop()
        return PromptText(instructions, tuple(demos))

    def _too_long(self, texts: PromptSet) -> str:
        most = self._shared.max_chars
        for name, text in texts.items():
            if most is not None and len(text.instructions) > most and name not in self._frozen:
                return (
                    f"The instructions of {name} have {len(text.instructions):,} characters; at "
                    f"most {most:,} are allowed. Write shorter ones."
                )
        return ""

    def _trace_standing(
        self, calls: Sequence[PromptCall], predictors: Mapping[str, dspy.Predict]
    ) -> None:
        """Put into DSPy's trace the prompts that no predictor was called for."""
        trace = dspy.settings.trace
        if trace is None:
            return
        for call in calls:
            prompt = self._shared.graph.prompts.get(call.name)
            if prompt is not None and prompt.standing and call.name in predictors:
                outputs = dspy.Prediction(**call.outputs)
                trace.append((predictors[call.name], dict(call.inputs), outputs))


def graph_run_of(prediction: dspy.Prediction) -> GraphRun:
    """The run that a prediction of a `GraphProgram` tells of."""
    run: GraphRun = prediction._graph_run  # kept out of what DSPy shows
    return run


def _predictor(prompt: Prompt[Any], text: PromptText) -> dspy.Predict:
    fields = _Fields.of(prompt)
    names = {**fields.inputs, **fields.outputs}
    predictor = dspy.Predict(
        signature_of(replace(prompt, instructions=text.instructions, demos=()))
    )
    predictor.demos = [
        dspy.Example(**{names[name]: demo[name] for name in names}).with_inputs(
            *fields.inputs.values()
        )
        for demo in text.demos
        if prompt.takes_demos
    ]
    return predictor


async def _through(
    predictor: dspy.Predict,
    prompt: Prompt[Any],
    model: BaseChatModel,
    given: Mapping[str, Any],
    lm: dspy.LM,
) -> str | BaseModel:
    """A prompt's output, by its predictor."""
    fields = _Fields.of(prompt)
    inputs = {fields.inputs[name]: value for name, value in given.items()}
    with _adapting(prompt, model):
        try:
            read = await predictor.acall(lm=lm, **inputs)
        except AdapterParseError as error:
            if (trace := dspy.settings.trace) is not None:  # what GEPA is to reflect on
                reply = dspy.Prediction(unreadable_reply=error.lm_response)
                trace.append((predictor, inputs, reply))
            raise PromptOutputError(str(error)) from error
    if not issubclass(prompt.output, BaseModel):
        return str(read[fields.outputs[TEXT]])
    output: BaseModel = prompt.output.model_validate(
        {name: read[field] for name, field in fields.outputs.items()}
    )
    return output


@contextmanager
def _adapting(prompt: Prompt[Any], model: BaseChatModel) -> Iterator[None]:
    adapter = PromptAdapter(prompt, model)
    with dspy.context(adapter=adapter, warn_on_type_mismatch=False):
        yield


def _prediction(run: GraphRun) -> dspy.Prediction:
    """What DSPy sees of a run."""
    shown = {name: _shown(value) for name, value in run.output.items() if name != "messages"}
    if run.error is not None:
        shown["error"] = f"{type(run.error).__name__}: {run.error}"
    prediction = dspy.Prediction(**shown)
    prediction._graph_run = run  # kept out of what DSPy shows
    return prediction


def _shown(value: Any) -> Any:
    """A value as an optimiser's model is told of it."""
    return json.loads(json.dumps(value, ensure_ascii=False, default=_told))


def _told(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return getattr(value, "page_content", None) or value.model_dump(mode="json")
    return str(value)
