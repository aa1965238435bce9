"""A web service that answers by a graph: at once, or streamed as server-sent events.

It needs `pip install "agentkit-graphs[index,ingest,local]" "fastapi>=0.135" uvicorn`. Start it, and
ask from another terminal:

    python -m examples.scripts.fastapi_app
    curl -N --json '{"question": "How long may I keep a book?"}' http://127.0.0.1:8000/stream
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field

from agentkit.errors import InvalidInputError
from examples.scripts.library import Graph, library_graph
from examples.scripts.streaming import told


class Question(BaseModel):
    question: str = Field(min_length=1, max_length=2_000)


class Answer(BaseModel):
    """`citations` say which documents the answer's `[n]` mean."""

    answer: str
    citations: list[dict[str, Any]]

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> "Answer":
        return cls(answer=state["answer"], citations=state.get("citations") or [])


def create_app(graph: Graph) -> FastAPI:
    """Serves any graph that takes a `question` and returns an `answer`."""
    app = FastAPI(title="Ask the library")

    @app.post("/ask")
    async def ask(asked: Question) -> Answer:
        return Answer.of(await graph.ainvoke(asked.model_dump()))

    @app.post("/stream", response_class=EventSourceResponse)
    async def stream(asked: Question) -> AsyncIterator[ServerSentEvent]:
        """`progress` and `token` events, then the `answer`, which counts; or an `error`."""
        try:
            async for kind, data in told(graph, asked.model_dump()):
                if kind == "state":
                    yield ServerSentEvent(event="answer", data=Answer.of(data))
                else:
                    yield ServerSentEvent(event=kind, data=data)
        except Exception as error:  # noqa: BLE001 - the status 200 is sent: this is how it is told
            yield ServerSentEvent(event="error", data=f"{type(error).__name__}: {error}")

    @app.exception_handler(InvalidInputError)
    async def refuse(_: Request, error: InvalidInputError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=400)

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(library_graph()), host="127.0.0.1", port=8000)
