"""The routes of a router: graphs and chat models, and how one is asked inside of another graph."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langgraph.config import get_config
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel._messages import StreamMessagesHandler, StreamMessagesHandlerV2
from typing_extensions import TypedDict

from agentkit._text import shortened
from agentkit.errors import ConfigurationError
from agentkit.events import emit
from agentkit.models import chat_model
from agentkit.prompts import Prompt
from agentkit.retrieval.answering import says_not_in_documents
from agentkit.tools.graph import GraphRun, OnMessage, answer_of, hand_on

Answering: TypeAlias = CompiledStateGraph[Any, Any, Any, Any] | BaseChatModel | str | None

NONE = "none"
"""The choice of no route."""

Outcome: TypeAlias = Literal["answered", "nothing", "failed"]
"""Whether a route answered, found that it has no answer, or failed."""

_NAME = re.compile(r"[^\W_][\w-]*")
_OTHER_KEYS = frozenset({"answer", "messages", "failures"})


@dataclass(frozen=True)
class Route:
    """Who can answer some questions, and which.

    Args:
        name: A short name, of letters, digits, `_` and `-`.
        answers: A graph of agentkit, or any compiled LangGraph graph that takes `question` or
            `messages` and returns `answer` or `messages`; or a chat model or its spec, which
            replies without looking anything up; None for the router's own chat model.
        description: What can be asked, as the router's model is told: what the data is about, and
            not how it is searched.

    Raises:
        ConfigurationError: When one of these is not of its kind.
    """

    name: str
    answers: Answering
    description: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name) or self.name == NONE:
            raise ConfigurationError(
                "A route's name is made of letters, digits, _ and -, and is not "
                f"{NONE!r}; got {shortened(repr(self.name), 80)}."
            )
        if not isinstance(self.description, str) or not self.description.strip():
            raise ConfigurationError(
                f"The route {self.name!r} needs a description: by it the model knows what the "
                "route can answer."
            )
        if not isinstance(self.answers, CompiledStateGraph | BaseChatModel | str | None):
            raise ConfigurationError(
                f"The route {self.name!r} is a compiled LangGraph graph, a chat model or its spec; "
                f"got {type(self.answers).__name__}."
            )

    def __str__(self) -> str:
        return f"{self.name}: {' '.join(self.description.split())}"


class RouteTask(TypedDict):
    """What one route is asked: the part of the question with this number, counted from 0.

    `streams` says whether its answer is the run's own, token by token.
    """

    part: int
    route: str
    question: str
    streams: bool


class Tried(TypedDict):
    """What a route made of a part of the question; `output` is all that it returned beside that."""

    part: int
    route: str
    outcome: Outcome
    message: AIMessage
    output: dict[str, Any]


def routes_by_name(routes: Sequence[Route]) -> dict[str, Route]:
    """The routes by name, with chat models in place of their specs.

    Raises:
        ConfigurationError: When there is none, one is no `Route`, two have one name, or a model
            cannot be made.
    """
    known: dict[str, Route] = {}
    for route in routes:
        if not isinstance(route, Route):
            raise ConfigurationError(
                f"A route is a Route(name, answers, description); got {type(route).__name__}."
            )
        if route.name in known:
            raise ConfigurationError(f"Two routes are called {route.name!r}. Rename one of them.")
        is_spec = isinstance(route.answers, str)
        known[route.name] = (
            replace(route, answers=chat_model(route.answers)) if is_spec else route  # type: ignore[arg-type]
        )
    if not known:
        raise ConfigurationError("A router needs at least one route.")
    return known


def graph_node(graph: CompiledStateGraph[Any, Any, Any, Any]) -> RunnableLambda[Any, Any]:
    """A node that asks a graph, which LangGraph sees inside of it: it draws it and keeps its state.

    Raises:
        ConfigurationError: When the graph takes neither `question` nor `messages`, or returns
            neither `answer` nor `messages`.
    """
    run = GraphRun(graph)
    run.check_answers()

    def ask(task: RouteTask) -> dict[str, Any]:
        _ = graph  # named in the function, which is how LangGraph finds it
        stream, quiet = MessageStream(), not task["streams"]
        result = run.invoke(
            task["question"], on_event=emit, on_message=stream.writer(quiet=quiet), quiet=quiet
        )
        return _tried(task, result, stream.last_id)

    async def aask(task: RouteTask) -> dict[str, Any]:
        stream, quiet = MessageStream(), not task["streams"]
        result = await run.ainvoke(
            task["question"], on_event=hand_on, on_message=stream.writer(quiet=quiet), quiet=quiet
        )
        return _tried(task, result, stream.last_id)

    return RunnableLambda(ask, afunc=aask, name="ask_graph")


async def reply(task: RouteTask, prompt: Prompt[str], model: BaseChatModel) -> dict[str, Any]:
    """What a chat model by itself makes of a part of the question."""
    message = await prompt.amessage(model, stream=task["streams"], question=task["question"])
    return {"tried": [_outcome(task, message, {})]}


def failed(task: RouteTask) -> Tried:
    """What is kept of a route that failed."""
    return {
        "part": task["part"],
        "route": task["route"],
        "outcome": "failed",
        "message": AIMessage(""),
        "output": {},
    }


class MessageStream:
    """The `messages` stream of the running graph, for what a graph inside of it says.

    LangGraph itself shows the messages of inner graphs only to who asks for `subgraphs`.
    """

    def __init__(self) -> None:
        config = get_config()
        callbacks = config.get("callbacks")
        handlers = callbacks if isinstance(callbacks, list) else getattr(callbacks, "handlers", [])
        follow = [each for each in handlers if isinstance(each, StreamMessagesHandler)]
        # the newer protocol always shows inner graphs, and an inner `messages` stream would end it
        newer = any(isinstance(each, StreamMessagesHandlerV2) for each in follow)
        place = tuple(config.get("configurable", {}).get("checkpoint_ns", "").split("|"))[:-1]
        self._place = place
        self._own = [each for each in follow if not each.subgraphs and each.parent_ns == place]
        self._followed = bool(follow) and not newer
        self.last_id: str | None = None

    def writer(self, *, quiet: bool) -> OnMessage | None:
        """What streams a message, or a token of one; None where nobody follows it."""
        return self._write if self._followed and not quiet else None

    def _write(self, message: Any, metadata: Mapping[str, Any]) -> None:
        for handler in self._own:
            handler._emit((self._place, dict(metadata)), message)
        if isinstance(message, AIMessage):
            self.last_id = message.id


def _tried(task: RouteTask, result: Mapping[str, Any], streamed: str | None) -> dict[str, Any]:
    """What a graph made of a part of the question, and what failed in it on the way."""
    answer = answer_of(result)
    said = [each for each in result.get("messages") or () if isinstance(each, AIMessage)]
    message = said[-1] if said and said[-1].text == answer else AIMessage(answer)
    message = message.model_copy(update={"id": streamed or message.id})
    failures = result.get("failures")
    return {
        "tried": [_outcome(task, message, result)],
        "failures": failures if isinstance(failures, list) else [],
    }


def _outcome(task: RouteTask, message: AIMessage, result: Mapping[str, Any]) -> Tried:
    answers = message.text.strip() and not says_not_in_documents(message.text)
    if not result.get("rows", True):  # a database that holds no such rows, or was not asked
        answers = False
    return {
        "part": task["part"],
        "route": task["route"],
        "outcome": "answered" if answers else "nothing",
        "message": message,
        "output": {key: value for key, value in result.items() if key not in _OTHER_KEYS},
    }
