"""A LangChain chat model that replies from a script."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    InvalidToolCall,
    ToolCall,
    UsageMetadata,
)
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.base import BaseOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import Field

from agentkit.errors import ScriptError
from agentkit.testing.completion import CompletedToolCall, Completion, json_object, pieces
from agentkit.testing.script import Call, Fault, ReplyLike, Script

StructuredMethod = Literal["json_schema", "function_calling", "json_mode"]


class ScriptedChatModel(BaseChatModel):
    """A chat model whose replies a script gives: for tests, with no server and no latency.

    It streams word by word, calls tools, gives structured output by every method of LangChain's,
    and reports usage with words for tokens::

        model = ScriptedChatModel(Script().when("capital of France", reply="Paris"))

    Args:
        script: A `Script`, or the replies of one: a single reply or a list.
        model_name: The name reported in `response_metadata` and traces.
        structured_output: False for a model that lacks it: `with_structured_output` then raises
            NotImplementedError, as LangChain's models without it do.
        latency: Seconds before every reply.
    """

    script: Script
    model_name: str = "scripted"
    structured_output: bool = True
    latency: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)

    def __init__(self, script: Script | ReplyLike | Sequence[ReplyLike], **options: Any) -> None:
        script = script if isinstance(script, Script) else Script(script)
        super().__init__(script=script, **options)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name}

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with tools to call.

        Args:
            tools: Whatever `convert_to_openai_tool` takes.
            tool_choice: `auto`, `none`, `required` (or `any`, or True), or a tool's name: what a
                scripted dict or pydantic object is then delivered as a call of.
            kwargs: Recorded with every call.
        """
        formatted = [convert_to_openai_tool(tool) for tool in tools]
        if tool_choice:
            kwargs["tool_choice"] = _openai_tool_choice(tool_choice)
        return self.bind(tools=formatted, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: StructuredMethod = "json_schema",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """The model with replies read as objects of a schema, as LangChain defines it.

        Raises:
            NotImplementedError: When the model was made with `structured_output=False`.
        """
        if not self.structured_output:
            raise NotImplementedError("This ScriptedChatModel has structured_output=False.")
        if method == "function_calling":
            return super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        model = self.bind(
            response_format=_response_format(schema, method, strict),
            ls_structured_output_format={"kwargs": {"method": method}, "schema": schema},
            **kwargs,
        )
        parser = _parser(schema)
        return model | (_with_raw(parser) if include_raw else parser)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - LangChain's
        **kwargs: Any,
    ) -> ChatResult:
        completion = self._completion(messages, stop, kwargs, streamed=False)
        if seconds := self.latency + completion.delay:
            time.sleep(seconds)
        return self._result(completion, kwargs)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - LangChain's
        **kwargs: Any,
    ) -> ChatResult:
        completion = self._completion(messages, stop, kwargs, streamed=False)
        if seconds := self.latency + completion.delay:
            await asyncio.sleep(seconds)
        return self._result(completion, kwargs)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - LangChain's
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        completion = self._completion(messages, stop, kwargs, streamed=True)
        if seconds := self.latency + completion.delay:
            time.sleep(seconds)
        yield from self._chunks(completion, kwargs)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - LangChain's
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        completion = self._completion(messages, stop, kwargs, streamed=True)
        if seconds := self.latency + completion.delay:
            await asyncio.sleep(seconds)
        for chunk in self._chunks(completion, kwargs):
            yield chunk

    def _completion(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        params: dict[str, Any],
        *,
        streamed: bool,
    ) -> Completion:
        call = Call(
            messages,
            tools=params.pop("tools", None) or (),
            tool_choice=params.pop("tool_choice", None),
            response_format=params.pop("response_format", None),
            stop=stop or (),
            params=params,
            streamed=streamed,
        )
        answer = self.script.answer(call)
        if isinstance(answer, Fault):
            error = ScriptError(
                f"Fault {answer.kind!r} is for a ModelServer; a ScriptedChatModel fails with the "
                "exception that is its reply."
            )
            self.script.errors.append(error)
            raise error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _result(self, completion: Completion, params: dict[str, Any]) -> ChatResult:
        calls, invalid = _read_tool_calls(completion.tool_calls)
        message = AIMessage(
            completion.text,
            tool_calls=calls,
            invalid_tool_calls=invalid,
            usage_metadata=_usage(completion),
            response_metadata=self._metadata(completion, params),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _chunks(
        self, completion: Completion, params: dict[str, Any]
    ) -> Iterator[ChatGenerationChunk]:
        for message in _message_chunks(completion):
            yield ChatGenerationChunk(message=message)
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata=_usage(completion),
                response_metadata=self._metadata(completion, params),
                chunk_position="last",
            )
        )

    def _metadata(self, completion: Completion, params: dict[str, Any]) -> dict[str, Any]:
        model_name = params.get("model", self.model_name)
        return {"model_name": model_name, "finish_reason": completion.finish_reason}


def _openai_tool_choice(choice: str | bool | dict[str, Any]) -> str | dict[str, Any]:
    if isinstance(choice, bool) or choice == "any":
        return "required"
    if isinstance(choice, str) and choice not in ("auto", "none", "required"):
        return {"type": "function", "function": {"name": choice}}
    return choice


def _response_format(
    schema: dict[str, Any] | type, method: StructuredMethod, strict: bool | None
) -> dict[str, Any]:
    if method == "json_mode":
        return {"type": "json_object"}
    described = convert_to_json_schema(schema, strict=strict)
    named = {"name": described["title"], "schema": described, "strict": bool(strict)}
    return {"type": "json_schema", "json_schema": named}


def _parser(schema: dict[str, Any] | type) -> BaseOutputParser[Any]:
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return PydanticOutputParser(pydantic_object=schema)
    return JsonOutputParser()


def _with_raw(parser: BaseOutputParser[Any]) -> Runnable[AIMessage, dict[str, Any]]:
    def read(raw: AIMessage) -> dict[str, Any]:
        try:
            parsed = parser.parse_result([ChatGeneration(message=raw)])
        except Exception as error:  # noqa: BLE001 - include_raw hands every parsing error over
            return {"raw": raw, "parsed": None, "parsing_error": error}
        return {"raw": raw, "parsed": parsed, "parsing_error": None}

    async def aread(raw: AIMessage) -> dict[str, Any]:
        return read(raw)

    return RunnableLambda(read, afunc=aread)


def _read_tool_calls(
    completed: Sequence[CompletedToolCall],
) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    calls: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for call in completed:
        args = json_object(call.arguments)
        if args is None:
            told = f"{call.arguments!r} is not a JSON object."
            bad = invalid_tool_call(name=call.name, args=call.arguments, id=call.id, error=told)
            invalid.append(bad)
        else:
            calls.append(tool_call(name=call.name, args=args, id=call.id))
    return calls, invalid


def _message_chunks(completion: Completion) -> Iterator[AIMessageChunk]:
    for piece in pieces(completion.text):
        yield AIMessageChunk(content=piece)
    for index, call in enumerate(completion.tool_calls):
        opening = tool_call_chunk(name=call.name, args="", id=call.id, index=index)
        yield AIMessageChunk(content="", tool_call_chunks=[opening])
        for piece in pieces(call.arguments):
            part = tool_call_chunk(args=piece, index=index)
            yield AIMessageChunk(content="", tool_call_chunks=[part])


def _usage(completion: Completion) -> UsageMetadata:
    return UsageMetadata(
        input_tokens=completion.input_tokens,
        output_tokens=completion.output_tokens,
        total_tokens=completion.input_tokens + completion.output_tokens,
    )
