"""Killed at any point, a conversation loses nothing that was acknowledged and doubles nothing."""

import multiprocessing
import os
import random
import shutil
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.store.sqlite import SqliteStore

from agentkit.memory import Memories, conversation_history
from agentkit.testing import HashEmbeddings
from tests.memory import killed

KILLS = 200
TURNS = 3
MEASURED_EVERY = 25


@pytest.mark.skipif(not hasattr(os, "fork"), reason="The processes are forked from one.")
def test_killed_at_two_hundred_points_nothing_is_lost_and_nothing_doubled(tmp_path):
    path = str(tmp_path / "chat.sqlite")
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.memory.killed"])
    points = random.Random(7)  # the same points in every run
    asked, kills = 0, 0
    while kills < KILLS:
        if kills % MEASURED_EVERY == 0:
            calls = _calls(processes, path, asked)
        point = points.randrange(1, calls)
        done, died = _told(processes, killed.talk, path, asked, TURNS, point)
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


def _calls(processes, path, asked):
    """How many function calls the next turns take, of which there are more as it goes on."""
    copies = f"{path}-measured"
    for end in ("", "-wal"):  # without the index of the log, which is made anew
        if Path(path + end).exists():
            shutil.copy(path + end, copies + end)
    ((calls,), _) = _told(processes, killed.measure, copies, asked, TURNS)
    for file in Path(path).parent.glob("*-measured*"):
        file.unlink()
    return calls


def _told(processes, run, path, *arguments):
    """What a process told until its end, and whether it was killed."""
    ours, theirs = processes.Pipe(duplex=False)
    process = processes.Process(target=run, args=(path, theirs, *arguments), daemon=True)
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
