"""Generated conversations: tool calls, parallel ones, system messages, pictures, edits."""

from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

texts = st.text(alphabet="abc de", min_size=0, max_size=60)
PICTURE = {"type": "image", "url": "https://example.org/a.png"}


@st.composite
def questions(draw):
    text = draw(texts)
    content = [{"type": "text", "text": text}, PICTURE] if draw(st.booleans()) else text
    return HumanMessage(content)


@st.composite
def tool_rounds(draw, prefix):
    """A message that calls tools, and their results in any order."""
    ids = [f"{prefix}-{n}" for n in range(draw(st.integers(1, 3)))]
    calls = [{"name": "look", "args": {"q": draw(texts)}, "id": each} for each in ids]
    content = draw(texts)
    if draw(st.booleans()):
        blocks = [{"type": "tool_use", "id": i, "name": "look", "input": {}} for i in ids]
        content = [{"type": "text", "text": "x"}, *blocks]
    results = [ToolMessage(draw(texts), tool_call_id=each) for each in draw(st.permutations(ids))]
    return [AIMessage(content, tool_calls=calls), *results]


@st.composite
def turns(draw, number):
    asked = [draw(questions())]
    rounds = draw(st.integers(0, 2))
    worked = [each for n in range(rounds) for each in draw(tool_rounds(f"{number}-{n}"))]
    told = [SystemMessage(draw(texts))] if draw(st.integers(0, 5)) == 0 else []
    return [*told, *asked, *worked, *([AIMessage(draw(texts))] if draw(st.booleans()) else [])]


@st.composite
def conversations(draw, max_turns=6):
    """Conversations as servers accept them, each message with an id."""
    messages = [each for n in range(draw(st.integers(1, max_turns))) for each in draw(turns(n))]
    return [message.model_copy(update={"id": f"m{n}"}) for n, message in enumerate(messages)]


@st.composite
def torn_conversations(draw):
    """Conversations from which messages were taken out, as edits leave them."""
    messages = draw(conversations())
    kept = draw(st.lists(st.booleans(), min_size=len(messages), max_size=len(messages)))
    return [message for message, keep in zip(messages, kept, strict=True) if keep]


def calls_of(messages):
    return [c["id"] for m in messages if isinstance(m, AIMessage) for c in m.tool_calls]


def results_of(messages):
    return [m.tool_call_id for m in messages if isinstance(m, ToolMessage)]


def ids_of(messages):
    return [message.id for message in messages]
