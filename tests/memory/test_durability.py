"""Killed at any point, a conversation loses nothing that was acknowledged and doubles nothing."""

import multiprocessing
import os
import random

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.store.sqlite import SqliteStore

from agentkit.memory import Memories, conversation_history
from agentkit.testing import HashEmbeddings
from tests.memory import killed

KILLS = 200
TURNS = 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="The processes are forked from one.")
def test_killed_at_two_hundred_points_nothing_is_lost_and_nothing_doubled(tmp_path):
    path = str(tmp_path / "chat.sqlite")
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.memory.killed"])
    points = random.Random(7)  # the same points in every run
    asked, kills = 0, 0
    while kills < KILLS:
        calls = points.randrange(1, 24_000)
        done, died = _talked(processes, path, asked, calls)
        asked = max([asked, *(number + 1 for number in done)])
        kills += died
    with SqliteSaver.from_conn_string(path) as saver, SqliteStore.from_conn_string(path) as store:
        graph = killed.conversation(saver, store)
        graph.invoke({"messages": [killed.question(asked)]}, killed.THREAD)
        history = conversation_history(graph, killed.THREAD)
        turns = Memories(store, HashEmbeddings()).remembered("ada", kinds=["turn"])
    told = [killed.question(number).text for number in range(asked + 1)]
    assert [m.text for m in history if isinstance(m, HumanMessage)] == told
    replies = [m.text for m in history if isinstance(m, AIMessage)]
    assert replies == [f"re: {text}" for text in told]
    assert sorted(turn.text for turn in turns) == sorted(
        [*(f"User: {text}" for text in told), *(f"Assistant: {reply}" for reply in replies)]
    )
    assert asked > KILLS / 4


def _talked(processes, path, first, calls):
    """Which questions were acknowledged, and whether the process was killed."""
    ours, theirs = processes.Pipe(duplex=False)
    arguments = (path, theirs, first, TURNS, calls)
    process = processes.Process(target=killed.talk, args=arguments, daemon=True)
    process.start()
    theirs.close()
    done = []
    while True:
        try:
            done.append(ours.recv())
        except EOFError:
            break
    process.join()
    assert process.exitcode in {0, -9}
    return done, process.exitcode != 0
