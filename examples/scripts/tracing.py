"""Spans of OpenTelemetry for every step, model call and search of a graph.

It needs `pip install "agentkit-graphs[index,ingest,local]" opentelemetry-sdk`. Here the spans are
printed; an exporter of `opentelemetry-exporter-otlp` sends them to a collector. Start it:

    python -m examples.scripts.tracing "How long may I keep a book?"
"""

import sys
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import LLMResult
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.trace import Span, StatusCode, Tracer, set_span_in_context

from examples.scripts.library import library_graph


class Spans(BaseCallbackHandler):
    """Makes a span of each run, within that of the run that started it.

    A model's call has the `gen_ai` attributes of OpenTelemetry's conventions. What was asked and
    answered stays out, since traces are kept where such things should not be.
    """

    run_inline = True  # async runs too: the spans start and end in the order of the runs

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._open: dict[UUID, Span] = {}

    def _start(self, name: str, run_id: UUID, parent: UUID | None, **about: str) -> None:
        outer = self._open.get(parent) if parent else None
        context = set_span_in_context(outer) if outer else None
        self._open[run_id] = self._tracer.start_span(name, context, attributes=about)

    def on_chain_start(self, *_: Any, run_id: UUID, **run: Any) -> None:
        self._start(run.get("name") or "chain", run_id, run.get("parent_run_id"))

    def on_chat_model_start(self, *_: Any, run_id: UUID, **run: Any) -> None:
        model = str((run.get("metadata") or {}).get("ls_model_name", "unknown"))
        about = {"gen_ai.operation.name": "chat", "gen_ai.request.model": model}
        self._start(f"chat {model}", run_id, run.get("parent_run_id"), **about)

    def on_retriever_start(self, *_: Any, run_id: UUID, **run: Any) -> None:
        self._start(f"retrieve {run.get('name')}", run_id, run.get("parent_run_id"))

    def on_tool_start(self, serialized: Any, *_: Any, run_id: UUID, **run: Any) -> None:
        self._start(f"execute_tool {serialized['name']}", run_id, run.get("parent_run_id"))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        usage = getattr(response.generations[0][0], "message", None)
        for kind, count in (getattr(usage, "usage_metadata", None) or {}).items():
            if kind in ("input_tokens", "output_tokens"):
                self._open[run_id].set_attribute(f"gen_ai.usage.{kind}", count)
        self._end(run_id=run_id)

    def _end(self, *_: Any, run_id: UUID, **__: Any) -> None:
        self._open.pop(run_id).end()

    def _fail(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        self._open[run_id].set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")
        self._end(run_id=run_id)

    on_chain_end = on_retriever_end = on_tool_end = _end
    on_chain_error = on_llm_error = on_retriever_error = on_tool_error = _fail


if __name__ == "__main__":
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    graph = library_graph().with_config(callbacks=[Spans(provider.get_tracer("agentkit"))])
    print(graph.invoke({"question": sys.argv[1]})["answer"])
