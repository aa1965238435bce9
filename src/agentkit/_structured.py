"""A chat model's reply as an object: by the model's own structured output, or as JSON in text."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableBinding, RunnableSequence
from pydantic import BaseModel, ValidationError

from agentkit._recent import RecentlyMade
from agentkit._text import shortened, well_formed
from agentkit.errors import PromptOutputError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import Runnable, RunnableConfig

_REASONING_END = "</think>"
_OBJECT_START = re.compile(r'\{\s*["}]')
_DECODER = json.JSONDecoder(strict=False)  # small models write line breaks inside of strings
_TOLD_CHARACTERS = 2000

_chains: RecentlyMade[Runnable[Any, Any] | None] = RecentlyMade(256)
"""The model told of an output class's schema, by model and class; None where it takes none.

Building one costs milliseconds, a call does not.
"""


@dataclass(frozen=True)
class StructuredCall:
    """A call of a chat model that is to reply with an object; a bad reply is repaired once.

    Args:
        name: What the call is known by in an error.
        output: The class of the object.
        model: The chat model.
        config: The run configuration of every request.
    """

    name: str
    output: type[BaseModel]
    model: BaseChatModel
    config: RunnableConfig

    @functools.cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the object, as the model is told."""
        return schema_of(self.output)

    async def ainvoke(self, messages: list[BaseMessage]) -> BaseModel:
        """The object that the model replies with.

        Raises:
            PromptOutputError: When neither the reply nor its repair can be read.
        """
        reply, problem = await self._attempt(messages)
        if isinstance(reply, BaseModel):
            return reply
        repair = HumanMessage(
            f"That reply could not be read: {problem}\nReply again with nothing but one JSON "
            f"object that follows this schema:\n{json.dumps(self.schema)}"
        )
        again, problem = await self._attempt([*messages, AIMessage(reply or "(nothing)"), repair])
        if isinstance(again, BaseModel):
            return again
        raise PromptOutputError(
            f"The reply to prompt {self.name!r} is not a {self.output.__name__}, even after one "
            f"repair: {problem} The reply was: {shortened(again)!r}"
        )

    async def _attempt(self, messages: list[BaseMessage]) -> tuple[BaseModel | str, str]:
        """The object, or the reply's text and what is wrong with it."""
        raw, content = await self._reply(messages)
        if content is None:
            return raw, "it is not a JSON object."
        try:
            return self.output.model_validate(content), ""
        except ValidationError as error:
            return raw, shortened(told_problems(error), _TOLD_CHARACTERS)

    async def _reply(self, messages: list[BaseMessage]) -> tuple[str, Any]:
        """The reply's text and its content; None when it holds no object."""
        chain = _chains.get(self.model, self.output, self._build_chain)
        if chain is None:
            return await self._reply_as_json_text(messages)
        try:
            reply = await chain.ainvoke(messages, self.config)
        except Exception as error:
            if not _is_refused_request(error):
                raise
        else:
            return _read(**reply) if isinstance(reply, dict) else _read(reply)
        read = await self._reply_as_json_text(messages)
        # only now is it known that structured output was refused, and not the messages
        _chains.put(self.model, self.output, None)
        return read

    async def _reply_as_json_text(self, messages: list[BaseMessage]) -> tuple[str, Any]:
        """For models without structured output: the schema is told, the text is read."""
        system = SystemMessage(
            f"{messages[0].text}\n\nReply with nothing but one JSON object that follows this "
            f"schema:\n{json.dumps(self.schema)}"
        )
        reply = await self.model.ainvoke([system, *messages[1:]], self.config)
        return well_formed(reply.text), _json_object(reply.text)

    def _build_chain(self) -> Runnable[Any, Any] | None:
        """The model told of the schema, or what returns its message under `raw`; None for neither.

        LangChain's parser behind it is left out: it completes JSON that breaks off, and takes a
        time that grows with the square of a text that holds none.
        """
        try:
            chain = self.model.with_structured_output(self.schema)
        except NotImplementedError:
            return None
        match chain:
            case RunnableSequence(steps=[RunnableBinding() as model, _]):
                return model
        return self.model.with_structured_output(self.schema, include_raw=True)


def schema_of(output: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a class, with its name as the title."""
    return {"title": output.__name__, **output.model_json_schema()}


def _is_refused_request(error: Exception) -> bool:
    """Whether a server turned the request itself down, as those without JSON schemas do."""
    return getattr(error, "status_code", None) in (400, 404, 422, 501)


def _read(raw: AIMessage, parsed: Any = None, **_: Any) -> tuple[str, Any]:
    """The text and content of a reply by the model's own structured output.

    LangChain's parsers complete JSON that breaks off, so where the object is text it is read here.
    """
    if calls := [*raw.tool_calls, *raw.invalid_tool_calls]:
        arguments = calls[0]["args"]
        if isinstance(arguments, dict):
            return well_formed(json.dumps(arguments)), arguments
        return well_formed(arguments or ""), _json_object(arguments or "")
    if raw.text:
        return well_formed(raw.text), _json_object(raw.text)
    return "", parsed.model_dump() if isinstance(parsed, BaseModel) else parsed


def _json_object(text: str) -> Any:
    """The first JSON object of a text, after any reasoning; None when there is none."""
    answer = text.rpartition(_REASONING_END)[2]
    if (start := _OBJECT_START.search(answer)) is None:
        return None
    try:
        return _DECODER.raw_decode(answer, start.start())[0]
    except (ValueError, RecursionError):
        return None


def told_problems(error: ValidationError) -> str:
    """What pydantic found, a sentence a problem and without its web addresses."""
    return " ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'The object'}: {problem['msg']}."
        for problem in error.errors(include_url=False, include_input=False)
    )
