"""A loopback, OpenAI-compatible HTTP server whose replies a script gives."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import socket
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Annotated, Any, Literal, TypeVar

import uvicorn
from langchain_core.embeddings import Embeddings
from langchain_core.messages import BaseMessage, convert_to_messages
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from agentkit.errors import ConfigurationError, ScriptError
from agentkit.testing.completion import CompletedToolCall, Completion, pieces
from agentkit.testing.embeddings import HashEmbeddings
from agentkit.testing.script import Call, Fault, ReplyLike, Script, check_seconds

_HOST = "127.0.0.1"
_BROKEN_JSON = b'{"id": "chatcmpl-1", "choices": [{"index": 0, "mess'

Body = TypeVar("Body", bound=BaseModel)
Text = Annotated[str, Field(min_length=1)]
Tokens = Annotated[list[int], Field(min_length=1)]


class _ToolFunction(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: Text


class _Tool(BaseModel):
    type: Literal["function"]
    function: _ToolFunction


class _JsonSchema(BaseModel):
    model_config = ConfigDict(extra="allow", populate_by_name=True)

    name: Text
    json_schema: dict[str, Any] = Field(alias="schema")


class _PlainFormat(BaseModel):
    type: Literal["text", "json_object"]


class _SchemaFormat(BaseModel):
    type: Literal["json_schema"]
    json_schema: _JsonSchema


class _StreamOptions(BaseModel):
    include_usage: bool = False


class _ChatRequest(BaseModel):
    """What the server reads of https://platform.openai.com/docs/api-reference/chat/create."""

    model_config = ConfigDict(extra="allow")

    model: Text
    messages: list[dict[str, Any]] = Field(min_length=1)
    n: Literal[1] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    tools: list[_Tool] | None = None
    tool_choice: Literal["auto", "none", "required"] | _Tool | None = None
    response_format: _PlainFormat | _SchemaFormat | None = Field(None, discriminator="type")
    stop: str | list[str] | None = None


class _EmbeddingRequest(BaseModel):
    """What the server reads of https://platform.openai.com/docs/api-reference/embeddings."""

    model: Text
    input: str | Tokens | Annotated[list[str | Tokens], Field(min_length=1)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


class ModelServer:
    """An OpenAI-compatible server on this machine, for testing with the real clients.

    It serves `/v1/models`, `/v1/chat/completions` (streamed or not, with tools and structured
    output) and `/v1/embeddings` on a free port of 127.0.0.1, from a thread of its own, while its
    `with` or `async with` block lasts::

        with ModelServer(Script(["Paris", Fault.rate_limited(retry_after=0)])) as server:
            model = ChatOpenAI(base_url=server.base_url, api_key="any", model="any")

    What the script does not answer is HTTP 400, which clients do not retry; its `ScriptError` is
    raised again at the end of the block, or noted on the exception that ends it.

    Args:
        script: A `Script`, or the replies of one: a single reply or a list.
        api_key: The only key accepted; None accepts any or none.
        models: The names that `/v1/models` lists. Requests may name any model.
        embeddings: What `/v1/embeddings` answers with. Token ids are embedded as words.
        faults: What goes wrong with the first requests, one each in order, of whatever kind.
        latency: Seconds before every reply; replies wait side by side.
        structured_output: False for a server that answers `response_format` with HTTP 400.

    Raises:
        ConfigurationError: When the latency is not a number of seconds.
    """

    def __init__(
        self,
        script: Script | ReplyLike | Sequence[ReplyLike] = (),
        *,
        api_key: str | None = None,
        models: Sequence[str] = ("scripted",),
        embeddings: Embeddings | None = None,
        faults: Sequence[Fault] = (),
        latency: float = 0.0,
        structured_output: bool = True,
    ) -> None:
        check_seconds("latency", latency)
        self.script = script if isinstance(script, Script) else Script(script)
        self._app = _App(
            self.script,
            api_key=api_key,
            models=models,
            embeddings=embeddings or HashEmbeddings(),
            faults=faults,
            latency=latency,
            structured_output=structured_output,
        )
        self._running: _Running | None = None

    @property
    def base_url(self) -> str:
        """Where clients find the server, such as `http://127.0.0.1:40123/v1`.

        Raises:
            ConfigurationError: When the server is not running.
        """
        if self._running is None:
            raise ConfigurationError("The ModelServer runs inside its `with` block only.")
        return f"http://{_HOST}:{self._running.port}/v1"

    def __enter__(self) -> ModelServer:
        if self._running is not None:
            raise ConfigurationError("This ModelServer is running already.")
        self._running = _Running(self._app)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.stop()
        if error is None:
            self.script.check()
        elif self.script.errors and error is not self.script.errors[0]:
            error.add_note(f"Before that: {self.script.errors[0]}")

    async def __aenter__(self) -> ModelServer:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.__exit__, kind, error, traceback)


class _Running:
    """The thread, the event loop and the socket of a server that runs."""

    def __init__(self, app: _App) -> None:
        # listening before the thread starts: a client's first request waits, and never fails
        listener = socket.create_server((_HOST, 0), backlog=2048)
        # inherited by what it accepts; else a reply's body waits 40 ms for its head to be received
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = int(listener.getsockname()[1])
        self._app = app
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http="h11",
                loop="asyncio",
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listener)),
            name=f"ModelServer:{self.port}",
            daemon=True,
        )
        self._thread.start()
        self._ready.wait()

    async def _serve(self, listener: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._app.started(self._server)
        self._ready.set()
        await self._server.serve(sockets=[listener])

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._app.stopping.set)
        self._server.should_exit = True
        self._thread.join()


class _Refused(Exception):  # noqa: N818 - an answer, not an error of this program
    """A request that is answered with an HTTP error."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers


class _App:
    """The ASGI application."""

    stopping: asyncio.Event
    """Set when the server stops: nothing waits any longer."""

    def __init__(
        self,
        script: Script,
        *,
        api_key: str | None,
        models: Sequence[str],
        embeddings: Embeddings,
        faults: Sequence[Fault],
        latency: float,
        structured_output: bool,
    ) -> None:
        self._script, self._api_key, self._models = script, api_key, models
        self._embeddings, self._latency = embeddings, latency
        self._structured_output = structured_output
        self._faults = iter(faults)
        self._numbers = itertools.count(1)
        self._starlette = Starlette(
            routes=[
                Route("/v1/models", self._list_models, methods=["GET"]),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/embeddings", self._embed, methods=["POST"]),
            ],
            exception_handlers={_Refused: _refused, HTTPException: _not_served},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._starlette(scope, receive, send)

    def started(self, server: uvicorn.Server) -> None:
        """Called in the event loop that serves, before the first request."""
        self.stopping = asyncio.Event()
        self._server = server

    async def _list_models(self, request: Request) -> Response:
        self._authorize(request)
        listed = [
            {"id": model, "object": "model", "created": 0, "owned_by": "agentkit"}
            for model in self._models
        ]
        return _json({"object": "list", "data": listed})

    async def _chat(self, request: Request) -> Response:
        self._authorize(request)
        body = await _read(request, _ChatRequest)
        call = _call(body)
        await self._pause(self._latency)
        answer = next(self._faults, None) or self._answer(body, call)
        if isinstance(answer, Fault):
            completion = self._script.complete(answer.reply, call)
            events = self._events(body, completion) if body.stream else None
            return await self._fail(answer, request, events)
        await self._pause(answer.delay)
        if body.stream:
            return _Stream(self._events(body, answer))
        return _json(self._chat_completion(body, answer))

    async def _embed(self, request: Request) -> Response:
        self._authorize(request)
        body = await _read(request, _EmbeddingRequest)
        await self._pause(self._latency)
        if fault := next(self._faults, None):
            return await self._fail(fault, request, None)
        texts = _texts(body.input)
        try:
            vectors = await self._embeddings.aembed_documents(texts)
        except Exception as error:
            raise _Refused(500, f"The embeddings failed: {error!r}") from error
        if body.dimensions not in (None, len(vectors[0])):
            raise _Refused(400, f"These embeddings have {len(vectors[0])} dimensions.")
        tokens = sum(len(text.split()) for text in texts)
        encoded = _base64 if body.encoding_format == "base64" else list
        data = [
            {"object": "embedding", "index": index, "embedding": encoded(vector)}
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return _json({"object": "list", "model": body.model, "data": data, "usage": usage})

    def _authorize(self, request: Request) -> None:
        given = request.headers.get("authorization")
        if self._api_key is not None and given != f"Bearer {self._api_key}":
            raise _Refused(401, "Incorrect API key provided.", code="invalid_api_key")

    def _answer(self, body: _ChatRequest, call: Call) -> Completion | Fault:
        wanted = body.response_format
        if wanted and wanted.type != "text" and not self._structured_output:
            raise _Refused(400, "response_format is not supported by this server.")
        try:
            answer = self._script.answer(call)
        except ScriptError as error:
            raise _Refused(400, str(error), code="script_error") from error
        return Fault.server_error(str(answer)) if isinstance(answer, Exception) else answer

    async def _fail(
        self, fault: Fault, request: Request, events: Sequence[bytes] | None
    ) -> Response:
        """The answer when something goes wrong; `events` are those of a streamed reply."""
        if fault.kind == "status":
            raise _Refused(fault.status, fault.message, headers=fault.headers)
        if fault.kind == "timeout":
            await self._hang(request, fault.seconds)
            raise _Refused(504, "The server gave no answer in time.")
        if fault.kind == "malformed":
            return (
                Response(_BROKEN_JSON, media_type="application/json")
                if events is None
                else (_Stream([_event(_BROKEN_JSON)]))
            )
        if events is None:
            return _CutBody(self._server)
        return _Stream(events[: fault.after], cut_by=self._server)

    async def _hang(self, request: Request, seconds: float | None) -> None:
        ends = {
            asyncio.create_task(_disconnected(request.receive)),
            asyncio.create_task(self.stopping.wait()),
        }
        _, waiting = await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()

    async def _pause(self, seconds: float) -> None:
        if seconds:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), seconds)

    def _chat_completion(self, body: _ChatRequest, completion: Completion) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": completion.text}
        if completion.tool_calls:
            message["content"] = completion.text or None
            message["tool_calls"] = [_tool_call(call) for call in completion.tool_calls]
        choice = {"index": 0, "message": message, "finish_reason": completion.finish_reason}
        return {
            **self._header(body, "chat.completion"),
            "choices": [choice],
            "usage": _usage(completion),
        }

    def _events(self, body: _ChatRequest, completion: Completion) -> list[bytes]:
        """The events of a streamed reply, the last of them `[DONE]`."""
        header = self._header(body, "chat.completion.chunk")
        chunks = [{**header, "choices": [choice]} for choice in _stream_choices(completion)]
        if body.stream_options and body.stream_options.include_usage:
            chunks.append({**header, "choices": [], "usage": _usage(completion)})
        return [*(_event(_dumps(chunk)) for chunk in chunks), _event(b"[DONE]")]

    def _header(self, body: _ChatRequest, kind: str) -> dict[str, Any]:
        number = next(self._numbers)
        return {"id": f"chatcmpl-{number}", "object": kind, "created": 0, "model": body.model}


class _Stream(Response):
    """Server-sent events; with `cut_by`, the connection closes after the last and no end."""

    media_type = "text/event-stream"

    def __init__(self, events: Sequence[bytes], *, cut_by: uvicorn.Server | None = None) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._events, self._cut_by = events, cut_by

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _start(self, send)
        for event in self._events:
            await send({"type": "http.response.body", "body": event, "more_body": True})
        if self._cut_by is None:
            await send({"type": "http.response.body"})
        else:
            await _disconnect(self._cut_by, scope, receive)


class _CutBody(Response):
    """A JSON body of which only the first part arrives before the connection closes."""

    media_type = "application/json"

    def __init__(self, server: uvicorn.Server) -> None:
        super().__init__(headers={"content-length": str(2 * len(_BROKEN_JSON))})
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _start(self, send)
        await send({"type": "http.response.body", "body": _BROKEN_JSON, "more_body": True})
        await _disconnect(self._server, scope, receive)


async def _start(response: Response, send: Send) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": response.raw_headers,
        }
    )


async def _disconnect(server: uvicorn.Server, scope: Scope, receive: Receive) -> None:
    for connection in server.server_state.connections:
        if isinstance(connection, H11Protocol) and connection.client == scope["client"]:
            connection.transport.close()
    await _disconnected(receive)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _read(request: Request, kind: type[Body]) -> Body:
    try:
        return kind.model_validate_json(await request.body())
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise _Refused(400, f"The request is malformed: {told}") from error
    except ClientDisconnect as error:
        raise _Refused(400, "The request broke off.") from error


def _call(body: _ChatRequest) -> Call:
    given = body.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
    tools, choice, stop = given.pop("tools", ()), given.pop("tool_choice", None), body.stop
    names = [tool["function"]["name"] for tool in tools]
    if isinstance(choice, dict) and choice["function"]["name"] not in names:
        raise _Refused(400, f"tool_choice names a tool that is not among the tools: {names}.")
    given.pop("stop", None)
    given.pop("messages")
    return Call(
        _messages(body.messages),
        tools=tools,
        tool_choice=choice,
        response_format=given.pop("response_format", None),
        stop=[stop] if isinstance(stop, str) else stop or (),
        streamed=given.pop("stream", False),
        params=given,
    )


def _messages(given: list[dict[str, Any]]) -> list[BaseMessage]:
    try:
        return convert_to_messages(given)
    except Exception as error:
        raise _Refused(400, f"The request is malformed: messages: {error}") from error


def _texts(given: str | list[int] | list[str | list[int]]) -> list[str]:
    """The texts to embed; token ids become words, since no tokenizer is here to read them."""
    if isinstance(given, str) or isinstance(given[0], int):
        return [_text(given)]
    return [_text(text) for text in given]


def _text(given: Any) -> str:
    return given if isinstance(given, str) else " ".join(map(str, given))


def _stream_choices(completion: Completion) -> Iterator[dict[str, Any]]:
    role = {"role": "assistant"}
    for delta in _deltas(completion):
        yield {"index": 0, "delta": {**role, **delta}, "finish_reason": None}
        role = {}
    yield {"index": 0, "delta": role, "finish_reason": completion.finish_reason}


def _deltas(completion: Completion) -> Iterator[dict[str, Any]]:
    for piece in pieces(completion.text):
        yield {"content": piece}
    for index, call in enumerate(completion.tool_calls):
        opening = _tool_call(replace(call, arguments=""))
        yield {"tool_calls": [{"index": index, **opening}]}
        for piece in pieces(call.arguments):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _tool_call(call: CompletedToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _usage(completion: Completion) -> dict[str, int]:
    return {
        "prompt_tokens": completion.input_tokens,
        "completion_tokens": completion.output_tokens,
        "total_tokens": completion.input_tokens + completion.output_tokens,
    }


def _base64(vector: list[float]) -> str:
    """A vector as OpenAI's clients ask for it: little-endian 32-bit floats, in base64."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


def _dumps(value: Any) -> bytes:
    return json.dumps(value).encode()


def _json(value: Any) -> Response:
    return Response(_dumps(value), media_type="application/json")


def _error(
    status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    kind = "server_error" if status >= 500 else "invalid_request_error"  # noqa: PLR2004 - HTTP's
    error = {"message": message, "type": kind, "param": None, "code": code}
    body = _dumps({"error": error})
    return Response(body, status, dict(headers or {}), media_type="application/json")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, _Refused)  # noqa: S101 - Starlette gives no other
    return _error(error.status, str(error), error.code, error.headers)


async def _not_served(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette gives no other
    told = f"{error.detail}: {request.method} {request.url.path}"
    return _error(error.status_code, told, headers=error.headers)
