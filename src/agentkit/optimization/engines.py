"""DSPy's calls of models, answered by LangChain's: by a graph's own, or by one that writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
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
from agentkit.errors import BudgetError, ConfigurationError, PromptOutputError
from agentkit.optimization._dspy import AdapterParseError, dspy, lm15
from agentkit.optimization.calls import Calls
from agentkit.optimization.running import by_itself
from agentkit.optimization.signatures import Fields
from agentkit.optimization.stopping import StoppedError
from agentkit.prompts import TEXT, Prompt

if TYPE_CHECKING:
    from dspy.signatures.signature import Signature

_NAME = "agentkit/model-of-the-graph"


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
        names = Fields.of(self.prompt).outputs
        if not issubclass(self.prompt.output, BaseModel):
            return {names[TEXT]: completion}
        try:
            read = self.prompt.output.model_validate_json(completion)
        except ValidationError as error:
            raise _unread(signature, completion, error) from error
        return {field: getattr(read, name) for name, field in names.items()}

    def _rendered(self, inputs: dict[str, Any]) -> list[BaseMessage]:
        fields = Fields.of(self.prompt).inputs
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
