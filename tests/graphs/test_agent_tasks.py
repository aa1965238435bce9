"""The bank of tasks: each ends in the state that it should, through a real client and server."""

import copy

import pytest
from agentevals.trajectory.match import create_trajectory_match_evaluator
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agentkit import chat_model, create_tool_agent
from agentkit.testing import ModelServer, Script
from tests.graphs.agent_tasks import TASKS, World

THREAD = {"configurable": {"thread_id": "1"}}


def agent_over(server, world, **options):
    model = chat_model("openai:scripted", base_url=server.base_url, api_key="none")
    return create_tool_agent(model, world.tools(), checkpointer=InMemorySaver(), **options)


async def done(graph, question, decisions):
    """The result of a run in which a person decides so, one call after the other."""
    given, left = {"question": question}, list(decisions)
    while True:
        result = await graph.ainvoke(given, THREAD)
        asked = result.get("__interrupt__", ())
        if not asked:
            assert left == []
            return result
        given = Command(resume={each.id: left.pop(0) for each in asked})


def test_the_bank_is_large():
    assert len({task.name for task in TASKS}) == len(TASKS) >= 60


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
async def test_a_task_ends_as_it_should(task):
    world = World()
    expected = {**copy.deepcopy(world.state()), **task.changed}
    script = Script(list(task.script))
    with ModelServer(script) as server:
        result = await done(agent_over(server, world, **task.options), task.name, task.decisions)

    assert world.state() == expected
    assert task.answer in result["answer"]
    if task.outcomes is not None:
        assert [call["outcome"] for call in result["trace"]] == task.outcomes
    if task.ran is not None:
        assert world.calls == task.ran
    for text in task.shown:
        assert text in script.calls[-1].text
    answered = {m.tool_call_id for m in result["messages"] if m.type == "tool"}
    called = {c["id"] for m in result["messages"] if m.type == "ai" for c in m.tool_calls}
    assert answered == called


@pytest.mark.parametrize(
    ("name", "mode", "wanted"),
    [
        (
            "all balances at once",
            "unordered",
            [[("balance", {"account": n}) for n in ("bo", "cy", "ada")]],
        ),
        (
            "a transfer, a letter about it and a note",
            "superset",
            [[("transfer", {"source": "bo", "target": "cy", "amount": 20})]],
        ),
        (
            "a file, then an account that it names",
            "strict",
            [[("read_file", {"name": "notes.txt"})], [("balance", {"account": "bo"})]],
        ),
    ],
)
async def test_the_trajectory_of_a_task_is_the_one_wanted(name, mode, wanted):
    (task,) = [task for task in TASKS if task.name == name]
    with ModelServer(Script(list(task.script))) as server:
        graph = agent_over(server, World(), **task.options)
        result = await done(graph, task.name, task.decisions)
    reference = [HumanMessage(name)]
    for number, calls in enumerate(wanted):
        made = [
            {"name": tool, "args": args, "id": f"{number}-{at}"}
            for at, (tool, args) in enumerate(calls)
        ]
        reference.append(AIMessage("", tool_calls=made))
    trajectory = [m for m in result["messages"] if m.type != "tool"]
    trajectory = trajectory[:-1]  # the answer, whose words are not the point
    judge = create_trajectory_match_evaluator(trajectory_match_mode=mode)
    judged = judge(outputs=trajectory, reference_outputs=reference)
    assert judged["score"], judged
