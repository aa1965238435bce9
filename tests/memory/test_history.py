"""The whole conversation of a thread, found in its checkpoints."""

from langchain_core.messages import HumanMessage, RemoveMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from agentkit.memory import conversation_history

THREAD = {"configurable": {"thread_id": "1"}}


def graph():
    made = StateGraph(MessagesState)
    made.add_node("change", lambda state: {})
    made.add_edge(START, "change")
    return made.compile(checkpointer=InMemorySaver())


def texts(made):
    return [message.text for message in conversation_history(made, THREAD)]


def test_messages_that_left_the_state_are_found():
    made = graph()
    for n in range(5):
        made.invoke({"messages": [HumanMessage(str(n), id=str(n))]}, THREAD)
        if n > 1:
            made.update_state(THREAD, {"messages": [RemoveMessage(id=str(n - 2))]})
    assert len(made.get_state(THREAD).values["messages"]) == 2
    assert texts(made) == ["0", "1", "2", "3", "4"]


def test_a_message_is_told_as_it_was_last():
    made = graph()
    made.invoke({"messages": [HumanMessage("a", id="1"), HumanMessage("b", id="2")]}, THREAD)
    made.update_state(THREAD, {"messages": [HumanMessage("A", id="1")]})
    assert texts(made) == ["A", "b"]


def test_a_branch_that_was_left_is_told_where_it_began():
    made = graph()
    made.invoke({"messages": [HumanMessage("a", id="1")]}, THREAD)
    earlier = made.get_state(THREAD).config
    made.invoke({"messages": [HumanMessage("left", id="2")]}, THREAD)
    made.invoke({"messages": [HumanMessage("kept", id="3")]}, earlier)
    assert texts(made) == ["a", "left", "kept"]


def test_a_new_thread_has_no_history():
    assert texts(graph()) == []
