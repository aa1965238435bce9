"""An OpenAI-compatible endpoint whose models are graphs, for all that speaks to OpenAI's API.

It needs `pip install "agentkit-graphs[index,ingest,local]" starlette uvicorn`. Start it, and ask
from another terminal by any client of OpenAI's, here the `openai` package:

    python -m examples.scripts.openai_endpoint
    python -c "from openai import OpenAI
    client = OpenAI(base_url='http://127.0.0.1:8001/v1', api_key='none')
    asked = [{'role': 'user', 'content': 'How long may I keep a book?'}]
    print(client.chat.completions.create(model='library', messages=asked).choices[0].message)"
"""

import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import uuid4

import uvicorn
from langchain_core.messages import convert_to_messages
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from agentkit.errors import InvalidInputError
from examples.scripts.library import Graph, library_graph
from examples.scripts.streaming import told


class ChatRequest(BaseModel):
    model: str
    messages: list[dict[str, Any]] = Field(min_length=1)
    stream: bool = False


def create_app(graphs: Mapping[str, Graph]) -> Starlette:
    """Serves graphs that take `messages` and return an `answer`, each as the model of its name."""

    async def models(_: Request) -> Response:
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "me"} for name in graphs]
        return JSONResponse({"object": "list", "data": data})

    async def chat(request: Request) -> Response:
        try:
            asked = ChatRequest.model_validate_json(await request.body())
            given = {"messages": convert_to_messages(asked.messages)}
        except ValueError as error:
            return refused(str(error), 400)
        if asked.model not in graphs:
            return refused(f"The models are {', '.join(graphs)}; got {asked.model!r}.", 404)
        about = {"id": f"chatcmpl-{uuid4()}", "created": int(time.time()), "model": asked.model}
        if asked.stream:
            events = streamed(graphs[asked.model], given, about)
            return StreamingResponse(events, media_type="text/event-stream")
        try:
            answer = (await graphs[asked.model].ainvoke(given))["answer"]
        except InvalidInputError as error:
            return refused(str(error), 400)
        message = {"role": "assistant", "content": answer}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return JSONResponse({**about, "object": "chat.completion", "choices": [choice]})

    routes = [Route("/v1/models", models), Route("/v1/chat/completions", chat, methods=["POST"])]
    return Starlette(routes=routes)


async def streamed(graph: Graph, given: Any, about: Mapping[str, Any]) -> AsyncIterator[str]:
    """The answer's tokens as they come; an answer that no model wrote comes whole."""

    def chunk(delta: Mapping[str, str], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return event({**about, "object": "chat.completion.chunk", "choices": [choice]})

    said = False
    try:
        async for kind, data in told(graph, given):
            if kind == "token":
                said = True
                yield chunk({"role": "assistant", "content": data})
            elif kind == "state":
                rest = {} if said else {"role": "assistant", "content": data["answer"]}
                yield chunk(rest, "stop")
    except Exception as error:  # noqa: BLE001 - the status 200 is sent: this is how it is told
        yield event({"error": {"message": f"{type(error).__name__}: {error}", "type": "graph"}})
    yield "data: [DONE]\n\n"


def event(data: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"


def refused(message: str, status: int) -> Response:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return JSONResponse({"error": error}, status)


if __name__ == "__main__":
    uvicorn.run(create_app({"library": library_graph()}), host="127.0.0.1", port=8001)
