"""What of a conversation a model is sent."""

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from agentkit.memory.window import inseparable, sound, window_of
from tests.memory.conversations import (
    calls_of,
    conversations,
    ids_of,
    results_of,
    torn_conversations,
)


def count(messages):
    return sum(4 + len(message.text) for message in messages)


budgets = st.integers(0, 400)


def is_sound(messages):
    seen = set()
    for message in messages:
        if isinstance(message, ToolMessage):
            assert message.tool_call_id in seen
        seen |= set(calls_of([message]))
    return sorted(calls_of(messages)) == sorted(results_of(messages))


@given(conversations(), budgets)
def test_no_call_is_sent_without_its_result_and_no_result_without_its_call(messages, budget):
    window = window_of(messages, budget=budget, count=count)
    assert is_sound(window.sent)
    assert is_sound(window.left_out)


@given(conversations(), budgets)
def test_the_newest_question_is_always_sent(messages, budget):
    newest = [message for message in messages if isinstance(message, HumanMessage)][-1]
    assert newest in window_of(messages, budget=budget, count=count).sent


@given(conversations(), budgets)
def test_nothing_is_lost_and_the_order_is_kept(messages, budget):
    window = window_of(messages, budget=budget, count=count)
    place = {message.id: n for n, message in enumerate(messages)}
    for part in (window.sent, window.left_out):
        assert ids_of(part) == sorted(ids_of(part), key=place.__getitem__)
    assert sorted(ids_of([*window.sent, *window.left_out])) == sorted(place)


@given(conversations(), budgets)
def test_system_messages_are_never_left_out(messages, budget):
    left_out = window_of(messages, budget=budget, count=count).left_out
    assert not [message for message in left_out if isinstance(message, SystemMessage)]


@given(conversations(), budgets)
def test_the_budget_is_kept_but_for_what_must_be_sent(messages, budget):
    spoken = [message for message in messages if not isinstance(message, SystemMessage)]
    steps = inseparable(spoken)
    newest = next(s for s in reversed(steps) if any(isinstance(m, HumanMessage) for m in s))
    due = count(newest) + (count(steps[-1]) if steps[-1] is not newest else 0)
    sent = window_of(spoken, budget=budget, count=count).sent
    assert count(sent) <= max(budget, due)


@given(conversations(), budgets)
def test_a_larger_budget_sends_no_less(messages, budget):
    less = window_of(messages, budget=budget, count=count).sent
    more = window_of(messages, budget=budget + 50, count=count).sent
    assert set(ids_of(less)) <= set(ids_of(more))


@given(conversations())
def test_what_fits_is_sent_whole(messages):
    window = window_of(messages, budget=count(messages), count=count)
    assert window.sent == messages


@given(torn_conversations())
def test_a_torn_conversation_is_made_sound(messages):
    assert is_sound(sound(messages))


@given(conversations())
def test_a_sound_conversation_is_left_as_it_is(messages):
    assert sound(messages) == messages


@given(torn_conversations())
def test_only_calls_and_results_are_dropped(messages):
    kept = set(ids_of(sound(messages)))
    for message in messages:
        if not isinstance(message, ToolMessage) and not getattr(message, "tool_calls", None):
            assert message.id in kept


def test_a_call_without_a_result_leaves_its_words():
    call = {"name": "look", "args": {}, "id": "1"}
    spoken = AIMessage("Let me look.", tool_calls=[call], id="a")
    (kept,) = sound([spoken])
    assert (kept.text, kept.tool_calls) == ("Let me look.", [])
    assert sound([AIMessage("", tool_calls=[call])]) == []


def test_the_blocks_of_a_call_without_a_result_go_with_it():
    content = [{"type": "text", "text": "Look."}, {"type": "tool_use", "id": "1", "name": "look"}]
    call = {"name": "look", "args": {}, "id": "1"}
    (kept,) = sound([AIMessage(content, tool_calls=[call])])
    assert kept.content == [{"type": "text", "text": "Look."}]


def test_a_second_result_of_a_call_is_dropped():
    call = {"name": "look", "args": {}, "id": "1"}
    asked = AIMessage("", tool_calls=[call])
    first, second = ToolMessage("a", tool_call_id="1"), ToolMessage("b", tool_call_id="1")
    assert sound([asked, first, second]) == [asked, first]


def test_the_window_begins_with_a_question():
    messages = [
        HumanMessage("a" * 50),
        AIMessage("b"),
        HumanMessage("c"),
        AIMessage("d"),
    ]
    window = window_of(messages, budget=20, count=count)
    assert window.sent == messages[2:]


def test_a_long_run_of_tools_keeps_its_question_and_its_last_step():
    rounds = []
    for n in range(20):
        call = {"name": "look", "args": {}, "id": str(n)}
        rounds += [AIMessage("", tool_calls=[call]), ToolMessage("x" * 50, tool_call_id=str(n))]
    asked = HumanMessage("Look twenty times.")
    window = window_of([asked, *rounds], budget=200, count=count)
    assert window.sent[0] is asked
    assert window.sent[-2:] == rounds[-2:]
    assert len(window.sent) < len(rounds)
