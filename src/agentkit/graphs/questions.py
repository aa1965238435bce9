"""The one input contract: a question, or the messages of a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import uuid4

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from pydantic import Field

from agentkit.errors import InvalidInputError
from agentkit.prompts import Prompt

STANDALONE = Prompt(
    "question.standalone",
    "Rewrite the last question of a conversation so that it can be understood without the "
    "conversation: put names in place of pronouns and add what is left unsaid. Keep its language "
    "and its meaning. A question that stands alone already stays as it is. Write the question "
    "alone; do not answer it.",
    {"conversation": str, "question": str},
    str,
)


QUESTION_FIELD = Field(description="What is asked, in words.")
MESSAGES_FIELD = Field(description="In place of a question, a conversation that ends with one.")

AskedQuestion = Annotated[str, QUESTION_FIELD]
"""A graph's `question`, as a form describes it."""

AskedMessages = Annotated[list[AnyMessage], MESSAGES_FIELD]
"""A graph's `messages`, as a form describes them."""

NO_ANSWER = "The model gave no answer."
"""The answer where a model replies with no text."""


@dataclass(frozen=True)
class Asked:
    """A question, and the messages that came before it.

    `new` says whether the question is not among the messages yet.
    """

    question: str
    earlier: Sequence[AnyMessage]
    new: bool


def read_input(state: Mapping[str, Any], *, max_chars: int) -> Asked:
    """The question in a graph's input: `question`, or else the last human message.

    Args:
        state: A mapping with `question`, `messages` or both.
        max_chars: How many characters a question may have.

    Raises:
        InvalidInputError: When there is no question, or it is not text, empty or too long.
    """
    messages: Sequence[AnyMessage] = state.get("messages") or []
    question = state.get("question")
    if question is not None:
        return Asked(_checked(question, max_chars), messages, new=True)
    for place in range(len(messages) - 1, -1, -1):
        if isinstance(messages[place], HumanMessage):
            text = _checked(messages[place].text, max_chars)
            return Asked(text, messages[:place], new=False)
    raise InvalidInputError(
        'There is no question: give {"question": "…"}, or {"messages": […]} with a human message.'
    )


async def stand_alone(asked: Asked, settings: Any) -> str:
    """The question as it is understood without the conversation.

    Args:
        asked: The question and the conversation before it.
        settings: The run's context, with `history_turns` and `max_question_chars`.
    """
    conversation = transcript(asked.earlier, turns=settings.history_turns)
    if not conversation:
        return asked.question
    written = await STANDALONE.using(settings.prompt_set).ainvoke(
        settings.chat_model, conversation=conversation, question=asked.question
    )
    return written.strip()[: settings.max_question_chars] or asked.question


def new_messages(asked: Asked) -> list[dict[str, str]]:
    """The question as a message, where it is not among the messages yet.

    A mapping, not a message: LangGraph streams every message that a node returns.
    """
    return [{"role": "user", "content": asked.question, "id": str(uuid4())}] if asked.new else []


def transcript(messages: Sequence[AnyMessage], *, turns: int, max_chars: int = 8_000) -> str:
    """The last messages of a conversation as text, the oldest first.

    Args:
        messages: The conversation; tool calls and system messages are left out.
        turns: How many human messages to go back.
        max_chars: How many characters to keep, the last ones.
    """
    kept: list[str] = []
    questions = 0
    for message in reversed(messages):
        if questions == turns:
            break
        if isinstance(message, HumanMessage | AIMessage) and message.text.strip():
            speaker = "User" if isinstance(message, HumanMessage) else "Assistant"
            kept.append(f"{speaker}: {message.text.strip()}")
            questions += isinstance(message, HumanMessage)
    return "\n".join(reversed(kept))[-max_chars:]


def _checked(question: Any, max_chars: int) -> str:
    if not isinstance(question, str):
        raise InvalidInputError(f"A question is text; got {type(question).__name__}.")
    text = question.encode("utf-8", "replace").decode("utf-8").replace("\0", " ").strip()
    if not text:
        raise InvalidInputError("The question is empty.")
    if len(text) > max_chars:
        raise InvalidInputError(
            f"The question has {len(text):,} characters; the limit is {max_chars:,} "
            "(`max_question_chars` raises it)."
        )
    return text
