"""A conversation in a process that is killed, for `test_durability`."""

import os
import signal
import sys
import threading
from collections import Counter
from datetime import UTC, datetime

from langchain_core.messages import HumanMessage
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.store.sqlite import SqliteStore

from agentkit.graphs.memory_chat import create_memory_chat
from agentkit.memory.times import periods_in
from agentkit.testing import HashEmbeddings, Script, ScriptedChatModel

periods_in("yesterday", now=datetime.now(UTC))  # loads what it needs before the processes part

THREAD = {"configurable": {"thread_id": "1"}}


def conversation(saver, store=None):
    script = Script(lambda messages: f"re: {messages[-1].text}")
    script.when(None, system="Keep the summary", reply={"summary": "Numbers were told."})
    return create_memory_chat(
        ScriptedChatModel(script),
        checkpointer=saver,
        store=store,
        embeddings=HashEmbeddings(),
        max_tokens=300,
        max_summary_tokens=30,
        recall_tokens=50,
        user="ada",
        extract="off",
    )


def question(number):
    return HumanMessage(f"Question {number} of a conversation of many.", id=f"q{number}")


def talk(path, acknowledged, first, turns, most):
    """Talk, and be killed behind so many function calls, wherever that is.

    Args:
        path: The database.
        acknowledged: A connection that is told the number of each question that has its reply.
        first: The number of the first question.
        turns: How many questions to ask.
        most: The number of calls.
    """
    for number, _ in _replied(path, first, turns, most):
        acknowledged.send(number)


def measure(path, told, first, turns):
    """Talk to the end, and tell how many function calls that took."""
    told.send([calls for _, calls in _replied(path, first, turns, None)][-1])


def _replied(path, first, turns, most):
    """The number of each question that has its reply, and the calls until then."""
    with SqliteSaver.from_conn_string(path) as saver, SqliteStore.from_conn_string(path) as store:
        store.setup()
        graph = conversation(saver, store)
        made = _counted(most)
        for number in range(first, first + turns):
            reply = graph.invoke({"messages": [question(number)]}, THREAD)
            assert reply["answer"] == f"re: {question(number).text}"
            yield number, made["calls"]


def _counted(most):
    """Counts the function calls from now on, and ends the process behind so many."""
    made = Counter()

    def count(frame, event, argument):
        made["calls"] += event == "call"
        if most is not None and made["calls"] >= most:
            os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(count)
    sys.setprofile(count)
    return made
