"""The bank of tasks: each ends in the state that it should, through a real client and server."""

import contextlib
import copy

import pytest
from agentevals.trajectory.match import create_trajectory_match_evaluator
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agentkit import chat_model, create_tool_agent
from agentkit.testing import ModelServer, Script
from tests.graphs.agent_tasks import TASKS
from tests.graphs.agent_world import Data, World

each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)


@pytest.fixture(scope="module")
def script():
    return Script()


@pytest.fixture(scope="module")
def model(script):
    with ModelServer(script) as server:
        yield chat_model("openai:scripted", base_url=server.base_url, api_key="none")


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    made = Data(tmp_path_factory.mktemp("data"))
    yield made
    made.close()


class Attempt:
    """An agent at a task, in a world that begins anew."""

    def __init__(self, task, model, world, data):
        self.task, self.world = task, world
        world.begin(**task.world)
        self.expected = {**copy.deepcopy(world.state()), **task.changed}
        tools = [*world.tools, *(tool for kind in task.data for tool in getattr(data, kind))]
        self.graph = create_tool_agent(model, tools, checkpointer=InMemorySaver(), **task.options)
        self.thread = {"configurable": {"thread_id": str(id(self))}}
        self.asked, self.trace, self.result = [], [], {}

    def inputs(self):
        """What the graph is given, one run after the other; it is sent what comes of each."""
        left = list(self.task.decisions)
        for question in (self.task.name, *self.task.then):
            result = yield {"question": question}
            while result.get("__interrupt__"):
                asked = in_order(result)
                self.asked += [each.value["name"] for each in asked]
                result = yield Command(resume={each.id: left.pop(0) for each in asked})
            self.trace += result["trace"]
            self.result = result
        assert left == []

    async def arun(self):
        inputs, result = self.inputs(), None
        with contextlib.suppress(StopIteration):
            while True:
                result = await self.graph.ainvoke(inputs.send(result), self.thread)

    def run(self):
        inputs, result = self.inputs(), None
        with contextlib.suppress(StopIteration):
            while True:
                result = self.graph.invoke(inputs.send(result), self.thread)

    def check(self, calls):
        """What came of it, and what the model was asked."""
        task, messages = self.task, self.result["messages"]
        assert self.world.state() == self.expected
        assert task.answer in self.result["answer"]
        assert len(calls) == len(task.script)
        for expected, found in (
            (task.asked, self.asked),
            (task.outcomes, [record["outcome"] for record in self.trace]),
            (task.ran, self.world.calls),
            (task.cited, [citation["number"] for citation in self.result["citations"]]),
        ):
            assert expected is None or expected == found
        for text in task.shown:
            assert text in calls[-1].text
        for call, offered in zip(calls, task.offered, strict=False):
            assert not offered or offered in names_of(call.tools)
        for call, hidden in zip(calls, task.hidden, strict=False):
            assert hidden not in names_of(call.tools)
        answered = {m.tool_call_id for m in messages if m.type == "tool"}
        called = {c["id"] for m in messages if m.type == "ai" for c in m.tool_calls}
        assert answered == called
        if task.trajectory is not None:
            check_trajectory(task, messages)


def in_order(result):
    """What a person is asked about, in the order of the model's calls: threads have none."""
    (last, *_) = [m for m in reversed(result["messages"]) if m.type == "ai"]
    ids = [call["id"] for call in last.tool_calls]
    return sorted(result["__interrupt__"], key=lambda each: ids.index(each.value["tool_call_id"]))


def names_of(tools):
    return {each["function"]["name"] for each in tools}


def check_trajectory(task, messages):
    mode, steps = task.trajectory
    reference = [HumanMessage(task.name)]
    for number, calls in enumerate(steps):
        made = [{**call, "id": f"{number}-{at}"} for at, call in enumerate(calls)]
        reference.append(AIMessage("", tool_calls=made))
    # without the answer, whose words are not the point
    trajectory = [message for message in messages if message.type != "tool"][:-1]
    judge = create_trajectory_match_evaluator(trajectory_match_mode=mode)
    judged = judge(outputs=trajectory, reference_outputs=reference)
    assert judged["score"], judged


@contextlib.contextmanager
def served(script, task):
    """The server replies as the task says, and the calls of the model are gathered."""
    is_over, before, calls = False, len(script.calls), []
    script.when(lambda _: not is_over, reply=list(task.script))
    try:
        yield calls
    finally:
        is_over = True
    calls += script.calls[before:]


@pytest.fixture
def attempt(task, model, world, data):
    yield Attempt(task, model, world, data)
    world.over.set()


def test_the_bank_is_large():
    assert len({task.name for task in TASKS}) == len(TASKS) >= 100


@each_task
@pytest.mark.asyncio(loop_scope="module")  # the clients' connections belong to one loop
async def test_a_task_ends_as_it_should(task, attempt, script):
    with served(script, task) as calls:
        await attempt.arun()
    attempt.check(calls)


@each_task
def test_a_task_ends_so_in_sync_code_too(task, attempt, script):
    with served(script, task) as calls:
        attempt.run()
    attempt.check(calls)
