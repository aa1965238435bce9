"""Short-term memory as a node, for graphs of your own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AnyMessage, SystemMessage
from langgraph.runtime import Runtime

from agentkit.graphs.nodes import Node
from agentkit.memory.counting import TokenCounter, text_tokens, token_counter, tool_tokens
from agentkit.memory.short_term import ShortTerm, budget_of, taken_in_again, with_summary, without
from agentkit.memory.summary import SUMMARIZE
from agentkit.models import chat_model
from agentkit.prompts import PromptOverrides, PromptSet


class SummarizingMemory(Node):
    """A node that keeps the messages of a conversation short, for graphs of your own.

    Put it before the node that calls the model, and send the model what `sent` returns::

        memory = SummarizingMemory("openai:gpt-5-mini", max_tokens=4_000)

        def reply(state: SummarizedState):
            return {"messages": model.invoke(memory.sent(state))}

        graph = StateGraph(SummarizedState)
        graph.add_node("memory", memory)
        graph.add_node(reply)

    The older messages leave the state once they are in the summary; `conversation_history` finds
    them in the checkpointer.

    Args:
        model: The chat model that writes summaries, or its spec.
        max_tokens: Tokens that a prompt may have: instructions, tools, summary and messages.
        max_summary_tokens: Tokens that the summary may have.
        instructions: The system message that you send; it is counted and put before the summary.
        tools: The tools that you offer the model; their schemas are counted.
        count: Counts the tokens of messages; by default as `token_counter` does.
        timeout: Seconds that one call for a summary may take.
        prompts: Overridden prompts: `memory.summarize`.

    Raises:
        ConfigurationError: When an option cannot work.
    """

    def __init__(
        self,
        model: str | BaseChatModel | None = None,
        *,
        max_tokens: int = 8_000,
        max_summary_tokens: int = 800,
        instructions: str = "",
        tools: Sequence[Any] = (),
        count: TokenCounter | None = None,
        timeout: float = 60.0,
        prompts: PromptOverrides = None,
    ) -> None:
        super().__init__(self._run)
        self.name = type(self).__name__
        made = chat_model(model)
        self._instructions = instructions
        self._short = ShortTerm(
            made,
            budget_of(made, max_tokens),
            max_summary_tokens,
            count or token_counter(made),
            timeout,
            PromptSet.of(prompts).check([SUMMARIZE.name]),
        )
        self._other = text_tokens(instructions, self._short.count) + tool_tokens(tools)
        self._short.room([], other=self._other)

    def sent(self, state: Mapping[str, Any]) -> list[AnyMessage]:
        """What to send the model: instructions with the summary, then the last messages."""
        summary = state.get("summary")
        told = with_summary(self._instructions, summary)
        window = self._short.window(state["messages"], other=self._other).sent
        return [*([SystemMessage(told)] if told else []), *window]

    async def _run(self, state: Mapping[str, Any], _: Runtime[Any]) -> dict[str, Any]:
        messages: Sequence[AnyMessage] = state["messages"]
        again = taken_in_again(messages, state.get("summary"))
        left = without(messages, again)
        changes: dict[str, Any] = {"messages": again}
        if self._short.is_above(left, other=self._other):
            made = await self._short.asummarized(left, state.get("summary"), other=self._other)
            made.pop("failures", None)
            changes |= made
            changes["messages"] = [*again, *made.get("messages", ())]
        return changes
