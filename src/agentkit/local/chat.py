"""The embedded chat model: SmolLM2-135M-Instruct (https://arxiv.org/abs/2502.02737).

It is there to try the wiring of a graph offline. Do not expect quality of 135 million parameters.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.language_models.chat_models import (
    agenerate_from_stream,
    generate_from_stream,
)
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.output_parsers import PydanticOutputParser
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda, RunnableMap, RunnablePassthrough
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import (
    convert_to_openai_function,
    convert_to_openai_tool,
)
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, ConfigDict, Field

from agentkit.errors import ConfigurationError
from agentkit.local.engine import CONTEXT_TOKENS, ENGINE
from agentkit.local.messages import ReplyReader, as_turns
from agentkit.local.schema import json_grammar, tool_grammar

MODEL_NAME = "SmolLM2-135M-Instruct"

_SAMPLING = ("temperature", "seed", "max_tokens", "cache_prompt")
_REQUEST = ("tools", "tool_choice", "response_format")
_NO_EFFECT = ("strict", "parallel_tool_calls", "stream", "stream_usage")
"""Options of other providers that say what is so here anyway."""
_NO_ARGUMENTS = {"type": "object", "properties": {}}


class LocalChatModel(BaseChatModel):
    """A chat model that runs in this process, on the CPU, without a key or a network.

    All instances share one loaded model (about 0.3 GB), which the first call loads. Calls are
    answered one at a time, in the order in which they come; waiting ones block no event loop.
    Structured output and tool calls are held to their JSON schema by a grammar, with bounds put
    where the schema has none; a reply calls at most one tool. A forked child loads its own model.

    Args:
        temperature: 0 for the likeliest token each time, which makes replies repeatable.
        seed: Of the sampling, where the temperature is above 0; None for a random one.
        max_tokens: The longest reply, in tokens.
        stop: Texts that end a reply before they appear in it.
        cache_prompt: Read only what differs from the previous call's prompt. Faster in long
            conversations, but a repeated call may then differ in a word, since llama.cpp rounds
            differently when it reads a prompt in other pieces.
        streaming: Whether `invoke` reports tokens to callbacks as they come.
    """

    model_config = ConfigDict(extra="forbid")

    temperature: float = Field(default=0.0, ge=0)
    seed: int | None = Field(default=None, ge=0, lt=2**32 - 1)
    max_tokens: int = Field(default=512, gt=0)
    stop: list[str] | None = None
    cache_prompt: bool = False
    streaming: bool = False

    @property
    def model_name(self) -> str:
        """The model's name."""
        return MODEL_NAME

    @property
    def max_choices(self) -> int:
        """Among how many things it can choose with some success.

        What has this attribute is given choices by the retrieval graphs, and nothing to write or
        to rank.
        """
        return 4

    @property
    def _llm_type(self) -> str:
        return "agentkit-local"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in (*_SAMPLING, "stop")}
        return {"model_name": MODEL_NAME, **own}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        return LangSmithParams(**{**params, "ls_provider": "local"})

    def _resolve_model_profile(self) -> ModelProfile:
        return ModelProfile(
            name=MODEL_NAME,
            open_weights=True,
            max_input_tokens=CONTEXT_TOKENS,
            max_output_tokens=CONTEXT_TOKENS,
            text_inputs=True,
            text_outputs=True,
            image_inputs=False,
            audio_inputs=False,
            video_inputs=False,
            reasoning_output=False,
            tool_calling=True,
            tool_choice=True,
            structured_output=True,
        )

    def get_token_ids(self, text: str) -> list[int]:
        """The ids of a text's tokens, by the model's own tokenizer."""
        return ENGINE.tokenize(text.encode("utf-8", "replace").decode())

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """A model that may call tools.

        Args:
            tools: As LangChain takes them.
            tool_choice: `any`, `required` or True for a call whatever the question; a tool's name
                for a call of that tool; `none` for no call; `auto` or None to let the model
                choose.
            kwargs: Further options of each call.

        Raises:
            ConfigurationError: When the choice is not one of these.
        """
        functions = [convert_to_openai_tool(tool) for tool in tools]
        _ToolChoice.of(tool_choice, [tool["function"]["name"] for tool in functions])
        return self.bind(tools=functions, tool_choice=tool_choice, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: Literal["json_schema", "function_calling", "json_mode"] = "json_schema",
        strict: bool | None = None,  # noqa: ARG002 - a schema is always held to
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """A model that replies with JSON of a schema, and so does however weak it is.

        Args:
            schema: A pydantic class, a `TypedDict` or a JSON schema.
            include_raw: Return `{"raw": message, "parsed": …, "parsing_error": …}`.
            method: Taken as other models take it; here all three are the same.
            strict: Taken as other models take it; here schemas are always held to.
            kwargs: Further options of each call.

        Returns:
            A runnable that gives an object of the pydantic class, or else a dict.

        Raises:
            ConfigurationError: When the schema is not one of these.
        """
        output = _output_schema(schema)
        model = self.bind(
            response_format={"type": "json_schema", "json_schema": {"schema": output}},
            ls_structured_output_format={"kwargs": {"method": method}, "schema": schema},
            **kwargs,
        )
        parser = _parser(schema)
        if not include_raw:
            return model | parser
        parsed = RunnablePassthrough.assign(
            parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
        ).with_fallbacks(
            [RunnablePassthrough.assign(parsed=lambda _: None)], exception_key="parsing_error"
        )
        return RunnableMap(raw=model) | parsed

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, run_manager, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - LangChain reports
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        request, reader = self._prepare(messages, stop, kwargs)
        for chunk in ENGINE.stream(request):
            yield from reader.read(chunk)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - LangChain reports
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        request, reader = self._prepare(messages, stop, kwargs)
        async for chunk in ENGINE.astream(request):
            for part in reader.read(chunk):
                yield part

    def _prepare(
        self, messages: list[BaseMessage], stop: list[str] | None, options: Mapping[str, Any]
    ) -> tuple[dict[str, Any], ReplyReader]:
        """The request for the engine, and the reader of what it will reply."""
        _check_options(options)
        functions = [convert_to_openai_tool(tool)["function"] for tool in options.get("tools", ())]
        choice = _ToolChoice.of(options.get("tool_choice"), [tool["name"] for tool in functions])
        functions = [tool for tool in functions if tool["name"] in choice.names]
        answer = _answer_schema(options.get("response_format"))
        sampling = {
            name: value
            for name in _SAMPLING
            if (value := options.get(name, getattr(self, name))) is not None
        }
        request = {
            "messages": as_turns(messages, functions),
            "stop": stop or self.stop or [],
            **sampling,
        }
        if functions:
            arguments = {tool["name"]: tool.get("parameters", _NO_ARGUMENTS) for tool in functions}
            request["grammar"] = tool_grammar(arguments, required=choice.required, answer=answer)
        elif answer is not None:
            request["grammar"] = json_grammar(answer)
        is_json = choice.required or answer is not None
        return request, ReplyReader(MODEL_NAME, tools=choice.names, is_json=is_json)


@dataclass(frozen=True)
class _ToolChoice:
    """The tools that may be called, and whether one must be."""

    names: Sequence[str]
    required: bool

    @classmethod
    def of(cls, choice: Any, names: Sequence[str]) -> _ToolChoice:
        if isinstance(choice, Mapping):
            choice = choice.get("function", choice).get("name")
        if choice in names:
            return cls([choice], required=True)
        if choice in (None, False, "auto"):
            return cls(names, required=False)
        if choice == "none":
            return cls([], required=False)
        if choice in (True, "any", "required") and names:
            return cls(names, required=True)
        raise ConfigurationError(
            "The tool choice must be 'auto', 'any', 'required', 'none' or the name of a tool "
            f"({', '.join(names) or 'there are none'}); got {choice!r}."
        )


def _check_options(options: Mapping[str, Any]) -> None:
    known = (*_SAMPLING, *_REQUEST, *_NO_EFFECT)
    if unknown := sorted(options.keys() - set(known)):
        raise ConfigurationError(
            f"The embedded model has no option {', '.join(unknown)}; it has {', '.join(known)}."
        )


def _answer_schema(response_format: Any) -> Mapping[str, Any] | None:
    """The JSON schema that a `response_format` of OpenAI's API asks for; None for plain text."""
    match response_format:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return {"type": "object"}
        case {"type": "json_schema", "json_schema": {"schema": Mapping() as schema}}:
            return schema
    raise ConfigurationError(
        "The response format must be as in OpenAI's API, of type text, json_object or "
        f"json_schema; got {response_format!r}. "
        "For a pydantic class use with_structured_output."
    )


def _output_schema(schema: Any) -> Mapping[str, Any]:
    if isinstance(schema, Mapping):
        function = schema["function"] if schema.get("type") == "function" else schema
        parameters: Mapping[str, Any] = function.get("parameters", function)
        return parameters
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return schema.model_json_schema()
    try:
        converted: Mapping[str, Any] = convert_to_openai_function(schema)["parameters"]
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(
            "Structured output needs a pydantic class, a TypedDict or a JSON schema; got "
            f"{schema!r}."
        ) from error
    return converted


def _parser(schema: Any) -> Runnable[AIMessage, Any]:
    is_model = isinstance(schema, type) and is_basemodel_subclass(schema)
    model_parser: PydanticOutputParser[Any] | None = (
        PydanticOutputParser(pydantic_object=schema) if is_model else None
    )

    def parse(message: AIMessage) -> Any:
        text = str(message.text)
        try:
            value = json.loads(text)
        except ValueError as error:
            raise OutputParserException(_not_json(message), llm_output=text) from error
        return model_parser.parse(text) if model_parser else value

    return RunnableLambda(parse, name="parse_structured_output")


def _not_json(message: AIMessage) -> str:
    if message.response_metadata.get("finish_reason") == "length":
        return (
            "The reply was cut at max_tokens, before its JSON was whole: raise max_tokens, or "
            "bound the strings and lists of the schema."
        )
    return f"The reply is not JSON, as a stop sequence may cause: {message.text[:200]!r}"
