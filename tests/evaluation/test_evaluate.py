"""Evaluations of graphs of every kind, and whatever goes wrong in the middle of one."""

import asyncio
import sys
import threading

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler, CallbackManager
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from agentkit import create_rag
from agentkit.errors import ConfigurationError, DatasetError, MissingExtraError
from agentkit.evaluation import Example, Score, aevaluate, evaluate
from agentkit.testing import HashEmbeddings, Reply, Script, ScriptedChatModel

QUESTIONS = [{"question": f"Is {n} even?", "answer": "no" if n % 2 else "yes"} for n in range(10)]


class State(TypedDict, total=False):
    question: str
    answer: str
    detail: str


def right(example, output):
    return float(output["answer"] == example.expected["answer"])


async def parity(inputs):
    number = int(inputs["question"].split()[1])
    return {"answer": "no" if number % 2 else "yes"}


def graph_of(*nodes, **compiled):
    graph = StateGraph(State)
    names = [node.__name__ for node in nodes]
    for node in nodes:
        graph.add_node(node)
    for before, after in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(before, after)
    return graph.compile(**compiled)


def asking(model):
    async def ask(state):
        reply = await model.ainvoke(state["question"])
        return {"answer": reply.text}

    return graph_of(ask)


# --- what can be evaluated


class Asked:
    def __init__(self, method):
        setattr(self, method, self._answer)

    def _answer(self, inputs):
        return asyncio.run(parity(inputs))


async def answer(state):
    return await parity(state)


def answer_sync(state):
    return asyncio.run(parity(state))


@pytest.mark.parametrize(
    "graph",
    [
        parity,
        lambda inputs: asyncio.run(parity(inputs)),
        lambda inputs: asyncio.run(parity(inputs))["answer"],
        lambda inputs: AIMessage(asyncio.run(parity(inputs))["answer"]),
        RunnableLambda(parity),
        graph_of(answer),
        graph_of(answer_sync),
        Asked("ainvoke"),
        Asked("invoke"),
    ],
)
def test_whatever_can_be_asked_can_be_evaluated(graph):
    report = evaluate(graph, QUESTIONS, right)
    assert report.scores("right") == [1.0] * 10
    assert report.failures == {}
    assert [item.example.id for item in report.items] == [str(n) for n in range(1, 11)]


async def test_in_a_running_loop_both_forms_work():
    report = evaluate(parity, QUESTIONS, right)
    assert report.interval("right") == (await aevaluate(parity, QUESTIONS, right)).interval("right")


def test_a_graph_that_takes_messages_is_given_the_question_as_one():
    agent = create_agent(ScriptedChatModel(Script().when("Is 1 even?", reply="no")), [])
    report = evaluate(agent, QUESTIONS[1:2], right)
    assert report.scores("right") == [1.0]
    assert report.usage.calls == 1


def test_a_graph_of_agentkit_is_scored_on_the_documents_that_it_returned():
    store = InMemoryVectorStore(HashEmbeddings())
    store.add_documents([Document("Books may be kept for three weeks.", id="loans")])
    graph = create_rag(ScriptedChatModel("Three weeks [1]"), store)

    def found(example, output):
        return float([d.id for d in output["documents"]] == example.expected["documents"])

    row = {"question": "How long may I keep a book?", "documents": ["loans"]}
    report = evaluate(graph, [row], [found])
    assert report.scores("found") == [1.0]
    assert [step.node for step in report.items[0].trials[0].run.steps] == [
        "read_question",
        "retrieve_question",
        "fuse",
        "answer",
    ]


def test_the_trace_has_every_node_with_its_time_and_its_update_in_short():
    def look(state):
        return {"detail": "x" * 1000}

    graph = graph_of(look, answer, name="two_steps")
    outer = StateGraph(State)
    outer.add_node("inner", graph)
    outer.add_edge(START, "inner")
    report = evaluate(outer.compile(), QUESTIONS[:1], right)
    steps = report.items[0].trials[0].run.steps
    assert [step.node for step in steps] == ["inner", "inner/look", "inner/answer"]
    assert steps[2].update == {"answer": "yes"}
    assert len(steps[1].update["detail"]) < 500
    assert steps[0].seconds >= steps[1].seconds + steps[2].seconds > 0
    assert steps[1].start <= steps[2].start


def test_each_run_has_a_thread_of_its_own_and_the_user_s_checkpointer_is_left_alone():
    saver = InMemorySaver()

    def count(state):
        return {"answer": str(len(state["messages"])), "messages": [AIMessage("1")]}

    class Chat(MessagesState):
        answer: str

    chat = StateGraph(Chat)
    chat.add_node(count)
    chat.add_edge(START, "count")
    graph = chat.compile(checkpointer=saver)
    report = evaluate(
        graph, [{"question": "a"}, {"question": "b"}], lambda e, o: o["answer"] == "1"
    )
    assert report.failures == {}
    assert list(saver.list(None)) == []


def test_the_context_and_the_configuration_reach_the_graph():
    from langgraph.runtime import get_runtime

    seen = []

    async def answer(state, config):
        seen.append((get_runtime().context, config["configurable"]["tenant"]))
        return await parity(state)

    class Context(TypedDict):
        k: int

    class Told(BaseCallbackHandler):
        ran = 0

        def on_chain_start(self, *args, **kwargs):
            Told.ran += 1

    graph = StateGraph(State, context_schema=Context)
    graph.add_node(answer)
    graph.add_edge(START, "answer")
    for callbacks in ([Told()], CallbackManager([Told()])):
        config = {"configurable": {"tenant": "a"}, "callbacks": callbacks}
        evaluate(graph.compile(), QUESTIONS[:1], right, context={"k": 3}, config=config)
    assert seen == [({"k": 3}, "a")] * 2
    assert Told.ran >= 2


def test_a_graph_cannot_change_the_dataset():
    def careless(inputs):
        inputs["messages"].append("more")
        return "yes"

    rows = [{"messages": ["a"]}]
    report = evaluate(careless, rows, lambda e, o: 1)
    assert report.items[0].example.inputs == {"messages": ["a"]}


# --- what goes wrong in a run


def test_a_run_that_fails_is_told_counts_as_0_and_the_others_go_on():
    async def fragile(inputs):
        if "3" in inputs["question"]:
            raise ValueError("three is too much")
        return await parity(inputs)

    report = evaluate(fragile, QUESTIONS, right)
    assert report.failures == {"4": ["ValueError: three is too much"]}
    assert report.scores("right") == [1, 1, 1, 0, 1, 1, 1, 1, 1, 1]
    assert report.interval("right").mean == pytest.approx(0.9)
    assert report.figures["failed_runs"] == 1


def test_a_model_that_fails_one_call_in_five_fails_one_item_in_five():
    replies = ["yes", "no", "yes", "no", ConnectionError("no network")]
    graph = asking(ScriptedChatModel(replies * 2))
    report = evaluate(graph, QUESTIONS, right, concurrency=1)
    assert len(report.items) == 10
    assert list(report.failures) == ["5", "10"]
    assert report.failures["5"] == ["ConnectionError: no network"]
    assert report.usage.calls == 10
    assert any("2 calls of models failed" in note for note in report.notes)


def test_the_node_that_failed_is_in_the_trace():
    def broken(state):
        raise KeyError("rows")

    report = evaluate(graph_of(answer, broken), QUESTIONS[:1], right)
    steps = report.items[0].trials[0].run.steps
    assert [(step.node, step.error) for step in steps] == [
        ("answer", ""),
        ("broken", "KeyError: 'rows'"),
    ]


def test_a_run_that_takes_too_long_is_a_failure():
    async def slow(inputs):
        await asyncio.sleep(3600)

    report = evaluate(slow, QUESTIONS[:1], right, timeout=0.2)
    assert report.failures == {"1": ["It took longer than 0.2 seconds."]}


def test_a_graph_that_waits_for_a_person_is_a_failure():
    def wait(state):
        return {"answer": interrupt("May I?")}

    report = evaluate(graph_of(wait, checkpointer=InMemorySaver()), QUESTIONS[:1], right)
    told = "The graph waits for a person, which nobody can answer here: May I?"
    assert report.failures == {"1": [told]}


def test_a_run_that_is_cancelled_from_inside_is_a_failure():
    async def cancelled(inputs):
        raise asyncio.CancelledError

    report = evaluate(cancelled, QUESTIONS[:1], right)
    assert report.failures == {"1": ["The run was cancelled from inside."]}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (float("nan"), "odd gave nan; a score is a number from 0 to 1, or a Score."),
        ("good", "odd gave 'good'; a score is a number from 0 to 1, or a Score."),
        (7, "odd gave 7; a score is a number from 0 to 1, or a Score."),
        (KeyError("rows"), "odd raised KeyError: 'rows'"),
    ],
)
def test_an_item_without_a_score_is_told_and_left_out_of_the_mean(given, told):
    def odd(example, output):
        if example.id == "1":
            if isinstance(given, Exception):
                raise given
            return given
        return 1.0

    report = evaluate(parity, QUESTIONS[:3], [odd, right])
    assert report.failures == {"1": [told]}
    assert report.scores("odd") == [1.0, 1.0]
    assert report.scores("right") == [1.0] * 3
    assert report.figures["scores"]["odd"]["unscored"] == 1


def test_where_no_item_has_a_score_there_is_no_mean():
    report = evaluate(parity, QUESTIONS[:2], [lambda e, o: "good", right])
    assert report.interval("<lambda>") is None
    assert "mean" not in report.figures["scores"]["<lambda>"]
    assert "–" in str(report)


@pytest.mark.parametrize("count", [1, 2, 10])
def test_few_examples_have_an_interval_and_a_note(count):
    report = evaluate(parity, QUESTIONS[:count], right)
    found = report.interval("right")
    assert 0 <= found.low < found.mean == found.high == 1
    assert any(f"With {count} examples the intervals are rough" in note for note in report.notes)


# --- metrics


def test_a_metric_may_be_async_return_a_score_with_feedback_and_be_given_alone():
    async def helpful(example, output):
        await asyncio.sleep(0)
        return Score(0.5, "half of it")

    report = evaluate(parity, QUESTIONS[:1], helpful)
    assert report.items[0].trials[0].scores == {"helpful": Score(0.5, "half of it")}


def test_a_sync_metric_may_wait_without_holding_up_the_others():
    both = threading.Barrier(2, timeout=30)

    def waits(example, output):
        both.wait()
        return 1

    assert evaluate(parity, QUESTIONS[:2], waits).scores("waits") == [1, 1]


@pytest.mark.parametrize("is_async", [True, False])
def test_what_a_metric_s_own_model_takes_is_counted_apart(is_async):
    judge = ScriptedChatModel(Reply("good", usage=(30, 2)))

    async def judged_async(example, output):
        return float((await judge.ainvoke("Is it good?")).text == "good")

    def judged_sync(example, output):
        return float(judge.invoke("Is it good?").text == "good")

    graph = asking(ScriptedChatModel(Reply("yes", usage=(10, 1))))
    report = evaluate(graph, QUESTIONS[:1], judged_async if is_async else judged_sync)
    assert (report.usage.calls, report.usage.tokens) == (1, 11)
    assert (report.judging.calls, report.judging.tokens) == (1, 32)
    assert report.spent.tokens == 43


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        ([], "There is no metric"),
        ([right, right], "Two metrics are called 'right'"),
        (["right"], r"an output, .* got 'right'\. That of a name is .*named_metric\('right'\)"),
        ("right", r"an output, .* got 'right'\. That of a name is .*named_metric\('right'\)"),
        ([Score], "A metric is a function of an example and an output"),
    ],
)
def test_metrics_that_are_none_or_of_one_name_are_refused(metrics, told):
    with pytest.raises(ConfigurationError, match=told):
        evaluate(parity, QUESTIONS, metrics)


# --- repeated runs


def test_repeated_runs_give_means_and_pass_hat_k():
    model = ScriptedChatModel(Script(["yes", "no", "yes", "yes"]))
    row = [{"question": "Is 2 even?", "answer": "yes"}]
    report = evaluate(asking(model), row, right, repeats=4, concurrency=1)
    assert report.interval("right").mean == 0.75
    assert report.pass_hat("right", 1).mean == 0.75
    assert report.pass_hat("right", 2).mean == pytest.approx(0.5)
    assert report.pass_hat("right", 4).mean == 0
    assert report.figures["scores"]["right"]["pass^2"] == pytest.approx(0.5)
    with pytest.raises(ConfigurationError, match="needs 5 runs of each example"):
        report.pass_hat("right", 5)


def test_the_score_from_which_a_run_passes_can_be_set():
    report = evaluate(parity, QUESTIONS[:1], lambda e, o: 0.7, repeats=2, passing=0.6)
    assert report.pass_hat("<lambda>", 2).mean == 1


# --- arguments


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"concurrency": 0}, "`concurrency` is a whole number, 1 or more; got 0"),
        ({"concurrency": 2.5}, "`concurrency` is a whole number, 1 or more; got 2.5"),
        ({"repeats": 0}, "`repeats` is a whole number, 1 or more; got 0"),
        ({"passing": 0}, "passing= is a score above 0; got 0"),
        ({"timeout": 0}, "`timeout` is a number of seconds above 0; got 0"),
        ({"budget": 0}, "A budget's calls is a number above 0; got 0"),
        ({"budget": "10"}, "A budget is a number of model calls"),
        ({"prices": (1, 2)}, "prices= gives by model"),
        ({"prices": {"m": 1}}, "prices= gives by model"),
        ({"context": {"k": 1}}, "context= is for a LangGraph graph"),
    ],
)
def test_options_that_cannot_work_are_refused(options, told):
    with pytest.raises(ConfigurationError, match=told):
        evaluate(parity, QUESTIONS, right, **options)


def test_a_context_that_every_run_would_refuse_is_refused_before_any_runs():
    graph = create_rag(ScriptedChatModel(Script([])), InMemoryVectorStore(HashEmbeddings()))
    told = "This is no context of the graph: k: Input should be greater than or equal to 1. "
    with pytest.raises(ConfigurationError) as refused:
        evaluate(graph, QUESTIONS, right, context={"k": 0, "nonsense": 1})
    assert str(refused.value).startswith(f"{told}nonsense: Extra inputs are not permitted. ")


@pytest.mark.parametrize("graph", [None, 3, dict, StateGraph(State)])
def test_what_cannot_be_run_is_refused(graph):
    with pytest.raises(ConfigurationError, match="What is evaluated is a graph"):
        evaluate(graph, QUESTIONS, right)


def test_without_the_extra_nothing_is_run(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'agentkit-graphs\[eval\]'"):
        evaluate(lambda inputs: pytest.fail("it ran"), QUESTIONS, right)


def test_an_empty_dataset_is_refused():
    with pytest.raises(DatasetError, match="holds no example"):
        evaluate(parity, [], right)


def test_questions_that_are_asked_twice_are_told():
    rows = [*QUESTIONS[:2], {"question": "is 0 even", "answer": "yes"}]
    report = evaluate(lambda inputs: "yes", rows, right)
    assert "The examples 1, 3 ask the same." in report.notes


def test_examples_are_taken_as_they_are():
    examples = [Example("a", {"question": "Is 2 even?"}, {"answer": "yes"})]
    assert evaluate(parity, examples, right).items[0].example is examples[0]


# --- progress


def test_a_function_is_told_every_step_with_what_was_taken():
    told = []
    graph = asking(ScriptedChatModel(Reply("yes", usage=(1_000_000, 0))))
    prices = {"scripted": (2, 1)}
    evaluate(graph, QUESTIONS[:3], right, progress=told.append, concurrency=1, prices=prices)
    assert [(p.done, p.total, p.failed) for p in told] == [
        (0, 3, 0),
        (1, 3, 0),
        (2, 3, 0),
        (3, 3, 0),
    ]
    assert [p.cost for p in told] == [0, 2, 4, 6]
    assert str(told[-1]) == "3/3 · 3 model calls · 3,000,000 tokens · cost 6.0000"


def test_a_bar_is_shown_on_standard_error_when_wanted(capsys):
    evaluate(parity, QUESTIONS[:3], right, progress=True, name="even [red]or[/] odd")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "even [red]or[/] odd" in shown.err
    assert "3/3 · 0 model calls" in shown.err


def test_without_a_terminal_there_is_no_bar(capsys):
    evaluate(parity, QUESTIONS[:3], right)
    assert capsys.readouterr() == ("", "")


def test_in_a_notebook_one_line_is_written_over(monkeypatch):
    import IPython.display

    shown = []

    class Handle:
        def update(self, line):
            shown.append(line.data)

    def display(line, display_id):
        assert display_id is True
        shown.append(line.data)
        return Handle()

    class Shell:
        kernel = object()

    monkeypatch.setattr(IPython, "get_ipython", Shell)
    monkeypatch.setattr(IPython.display, "display", display)
    evaluate(parity, QUESTIONS[:2], right, name="<even>", concurrency=1)
    assert len(shown) == 3
    assert shown[-1].startswith('<progress value="1.0000"></progress> &lt;even&gt; 2/2')
