"""Ways to have a chat model answer questions about a long conversation that it was part of.

Each takes the conversation in exchange by exchange, as it happened, and answers each question from
what it knew then, so that no question knows of another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRequest, SummarizationMiddleware
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.store.base import PutOp
from langgraph.store.memory import InMemoryStore

from agentkit import create_memory_chat
from benchmarks._locomo import Conversation, Exchange

INSTRUCTIONS = (
    "You are given the conversation of two people, each message with its date and who said it. "
    "The last message is a question about it, by somebody else. Answer in a few words, with those "
    "of the conversation where you can, and put neither date nor name before the answer. Write a "
    'date as in "7 May 2023". Where the conversation does not tell, answer "Not mentioned".'
)


@dataclass(frozen=True)
class Setting:
    """What all ways have in common.

    `budget` are the tokens that a prompt may have; `extract_every` after how many exchanges
    agentkit looks for facts, never with 0.
    """

    model: BaseChatModel
    budget: int
    embeddings: str | Embeddings | None = None
    extract_every: int = 0

    @property
    def summary(self) -> int:
        """Tokens that a summary may have: a tenth, as agentkit's default."""
        return self.budget // 10


class Way(ABC):
    """A way to know what a conversation held; `failures` are what it went on without."""

    def __init__(self, conversation: Conversation, setting: Setting) -> None:
        self.setting = setting
        self.failures: list[str] = []
        self.replies = {each.said.id: each.reply for each in conversation.exchanges()}
        self.messages: list[AnyMessage] = []

    @abstractmethod
    async def take(self, exchange: Exchange) -> None:
        """Take in what was said and replied next."""

    @abstractmethod
    async def answer(self, asked: HumanMessage) -> str:
        """Answer a question, and forget it."""

    async def reply(self, messages: Sequence[AnyMessage]) -> AIMessage:
        """What was replied then, or else the model's reply, from one system message."""
        if known := self.replies.get(messages[-1].id):
            return known
        told = [INSTRUCTIONS, *(each.text for each in messages if isinstance(each, SystemMessage))]
        spoken = [each for each in messages if not isinstance(each, SystemMessage)]
        return await self.setting.model.ainvoke([SystemMessage("\n\n".join(told)), *spoken])


class FullHistory(Way):
    """Everything in the prompt, whatever the budget."""

    async def take(self, exchange: Exchange) -> None:
        """Keep it."""
        self.messages += [exchange.said, exchange.reply]

    async def answer(self, asked: HumanMessage) -> str:
        """Ask with all of it."""
        return (await self.reply([*self.messages, asked])).text


class MemoryChat(Way):
    """`create_memory_chat` with a store: half of the budget is for what is remembered."""

    def __init__(self, conversation: Conversation, setting: Setting) -> None:
        super().__init__(conversation, setting)
        self._time = datetime.now(UTC)
        self._store = _ClosableStore()
        self._chat = create_memory_chat(
            self._replying(),
            model=setting.model,
            embeddings=setting.embeddings,
            checkpointer=InMemorySaver(),
            store=self._store,
            now=lambda: self._time,
            user="user",
            max_tokens=setting.budget,
            max_summary_tokens=max(20, setting.summary),
            recall=200,
            recall_tokens=setting.budget // 2,
            extract="after" if setting.extract_every else "off",
            extract_every=setting.extract_every or 1,
        )

    async def take(self, exchange: Exchange) -> None:
        """A turn of the conversation, at its time."""
        self._time = exchange.time
        await self._run(exchange.said, "history")

    async def answer(self, asked: HumanMessage) -> str:
        """A turn in a fork of the conversation, of which nothing is remembered."""
        self._store.closed = True
        state = await self._chat.aget_state(_thread("history"))
        fork = str(uuid4())
        await self._chat.aupdate_state(_thread(fork), state.values, as_node="remember")
        return str((await self._run(asked, fork, extract="off"))["answer"])

    async def _run(self, said: HumanMessage, thread: str, **context: Any) -> dict[str, Any]:
        given = {"messages": [said]}
        result: dict[str, Any] = await self._chat.ainvoke(given, _thread(thread), context=context)
        self.failures += [f"{each['step']}: {each['error']}" for each in result["failures"]]
        return result

    def _replying(self) -> Any:
        async def reply(state: MessagesState) -> dict[str, Any]:
            return {"messages": [await self.reply(state["messages"])]}

        return StateGraph(MessagesState).add_node(reply).add_edge(START, "reply").compile()


class SummarizingAgent(Way):
    """LangChain's agent with `SummarizationMiddleware`, which keeps half of the budget."""

    def __init__(self, conversation: Conversation, setting: Setting) -> None:
        super().__init__(conversation, setting)
        summarizing = SummarizationMiddleware(
            setting.model,
            trigger=("tokens", setting.budget),
            keep=("tokens", setting.budget // 2),
            trim_tokens_to_summarize=None,
        )
        middleware = [summarizing, _Replaying(self.replies)]
        self._agent: Any = create_agent(
            setting.model, system_prompt=INSTRUCTIONS, middleware=middleware
        )

    async def take(self, exchange: Exchange) -> None:
        """A turn of the agent's."""
        self.messages = await self._run(exchange.said)

    async def answer(self, asked: HumanMessage) -> str:
        """A turn whose messages are not kept."""
        return (await self._run(asked))[-1].text

    async def _run(self, asked: HumanMessage) -> list[AnyMessage]:
        result = await self._agent.ainvoke({"messages": [*self.messages, asked]})
        messages: list[AnyMessage] = result["messages"]
        return messages


class LangMem(Way):
    """langmem's `asummarize_messages`, before each reply.

    The newest message is put behind what it returns, since it would take that into the summary
    too. It summarises a little before the budget is reached, since of messages that take more it
    drops the first ones.
    """

    def __init__(self, conversation: Conversation, setting: Setting) -> None:
        super().__init__(conversation, setting)
        self._summary: Any = None

    async def take(self, exchange: Exchange) -> None:
        """Shorten what came before, and keep it."""
        self._summary = (await self._shortened()).running_summary
        self.messages += [exchange.said, exchange.reply]

    async def answer(self, asked: HumanMessage) -> str:
        """Shorten what came before, and ask."""
        return (await self.reply([*(await self._shortened()).messages, asked])).text

    async def _shortened(self) -> Any:
        from langmem.short_term import asummarize_messages

        budget, summary = self.setting.budget, self.setting.summary
        return await asummarize_messages(
            self.messages,
            running_summary=self._summary,
            model=self.setting.model.bind(max_tokens=summary),
            max_tokens=budget,
            max_tokens_before_summary=budget - 2 * summary,
            max_summary_tokens=summary,
        )


WAYS: dict[str, Callable[[Conversation, Setting], Way]] = {
    "full-history": FullHistory,
    "agentkit": MemoryChat,
    "langchain": SummarizingAgent,
    "langmem": LangMem,
}


class _ClosableStore(InMemoryStore):
    """A store that takes in nothing more once it is closed."""

    closed = False

    async def abatch(self, ops: Iterable[Any]) -> list[Any]:
        kept = [op for op in ops if not (self.closed and isinstance(op, PutOp))]
        return await super().abatch(kept)


class _Replaying(AgentMiddleware[Any, Any, Any]):
    """Replies what was replied then."""

    def __init__(self, replies: Mapping[str | None, AIMessage]) -> None:
        super().__init__()
        self._replies = replies

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[Any]]
    ) -> Any:
        known = self._replies.get(request.messages[-1].id)
        return known or await handler(request)


def _thread(name: str) -> Any:
    return {"configurable": {"thread_id": name}}
