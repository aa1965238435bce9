"""Short-term memory as middleware, for LangChain's agents."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, cast

from langchain.agents.middleware import (
    AgentMiddleware,
    AgentState,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AnyMessage, RemoveMessage, SystemMessage
from langgraph.types import Command

from agentkit._sync import in_thread, run_sync
from agentkit.memory.counting import TokenCounter, text_tokens, token_counter, tool_tokens
from agentkit.memory.short_term import ShortTerm, budget_of, taken_in_again, with_summary, without
from agentkit.memory.summary import SUMMARIZE, RunningSummary
from agentkit.models import chat_model
from agentkit.prompts import PromptOverrides, PromptSet


class SummarizedAgentState(AgentState[Any]):
    """An agent's state, and the summary of the messages that have left it."""

    summary: NotRequired[RunningSummary | None]


@dataclass(frozen=True)
class _Plan:
    """What a call of the model is sent, and what is to be summarised beside it or before it."""

    short: ShortTerm
    messages: Sequence[AnyMessage]
    again: Sequence[RemoveMessage]
    summary: RunningSummary | None
    other: int

    @property
    def fits(self) -> bool:
        return not self.short.is_above(self.messages, other=self.other, share=1.0)

    async def asummarized(self) -> dict[str, Any]:
        changes = await self.short.asummarized(self.messages, self.summary, other=self.other)
        changes.pop("failures", None)
        return changes


class SummarizingMiddleware(AgentMiddleware[SummarizedAgentState, Any, Any]):
    """Keeps an agent's conversation within a token budget by a running summary.

    The model is sent the last messages that fit and a summary of the older ones, which then leave
    the state; `conversation_history` finds them in the checkpointer. The summary is written beside
    the model's call, which waits for it only where the messages do not fit::

        agent = create_agent(model, tools, middleware=[SummarizingMiddleware(max_tokens=8_000)])

    Args:
        model: The chat model that writes summaries, or its spec; the agent's own by default.
        max_tokens: Tokens that a prompt may have: instructions, tools, summary and messages.
        max_summary_tokens: Tokens that the summary may have.
        count: Counts the tokens of messages; by default as `token_counter` does.
        timeout: Seconds that one call for a summary may take.
        prompts: Overridden prompts: `memory.summarize`; or a function that gives those of the run
            whose runtime it is given.
    """

    state_schema = SummarizedAgentState

    def __init__(
        self,
        model: str | BaseChatModel | None = None,
        *,
        max_tokens: int = 8_000,
        max_summary_tokens: int = 800,
        count: TokenCounter | None = None,
        timeout: float = 60.0,
        prompts: PromptOverrides | Callable[[Any], PromptSet] = None,
    ) -> None:
        super().__init__()
        self._model = None if model is None else chat_model(model)
        self._max_tokens = max_tokens
        self._max_summary_tokens = max_summary_tokens
        self._count = count
        self._timeout = timeout
        if callable(prompts):
            self._prompts_of = prompts
        else:
            fixed = PromptSet.of(prompts).check([SUMMARIZE.name])
            self._prompts_of = lambda _: fixed

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ExtendedModelResponse[Any]:
        """Ask the model, within the budget."""
        plan, changes = self._plan(request), {}
        if not plan.fits:
            changes = run_sync(plan.asummarized)
            response = handler(_asked(request, plan, changes))
        elif self._is_due(plan):
            waiting = in_thread(lambda: run_sync(plan.asummarized), name="agentkit-summary")
            response = handler(_asked(request, plan, {}))
            changes = waiting.result()
        else:
            response = handler(_asked(request, plan, {}))
        return _told(response, plan, changes)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ExtendedModelResponse[Any]:
        """The same as `wrap_model_call`, async."""
        plan, changes = self._plan(request), {}
        if not plan.fits:
            changes = await plan.asummarized()
            response = await handler(_asked(request, plan, changes))
        elif self._is_due(plan):
            waiting = asyncio.create_task(plan.asummarized())
            try:
                response = await handler(_asked(request, plan, {}))
            except BaseException:
                waiting.cancel()
                raise
            changes = await waiting
        else:
            response = await handler(_asked(request, plan, {}))
        return _told(response, plan, changes)

    def _is_due(self, plan: _Plan) -> bool:
        return plan.short.is_above(plan.messages, other=plan.other)

    def _plan(self, request: ModelRequest[Any]) -> _Plan:
        count = self._count or token_counter(request.model)
        told = request.system_message.text if request.system_message else ""
        summary = cast("RunningSummary | None", request.state.get("summary"))
        again = taken_in_again(request.messages, summary)
        short = ShortTerm(
            self._model or request.model,
            budget_of(request.model, self._max_tokens),
            self._max_summary_tokens,
            count,
            self._timeout,
            self._prompts_of(request.runtime),
        )
        messages = without(request.messages, again)
        other = text_tokens(told, count) + tool_tokens(request.tools)
        return _Plan(short, messages, again, summary, other)


def _asked(request: ModelRequest[Any], plan: _Plan, changes: dict[str, Any]) -> ModelRequest[Any]:
    """The request with what fits, and the summary of the rest."""
    left = without(plan.messages, changes.get("messages", ()))
    before = request.system_message.text if request.system_message else ""
    told = with_summary(before, changes.get("summary", plan.summary))
    sent = list(plan.short.window(left, other=plan.other).sent)
    if told == before:
        return request.override(messages=sent)
    return request.override(messages=sent, system_message=SystemMessage(told))


def _told(
    response: ModelResponse[Any], plan: _Plan, changes: dict[str, Any]
) -> ExtendedModelResponse[Any]:
    removals = [*plan.again, *changes.pop("messages", ())]
    update = {**changes, **({"messages": removals} if removals else {})}
    return ExtendedModelResponse(response, Command(update=update) if update else None)
