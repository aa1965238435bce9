"""Tools, routes, memories; metrics by name and of other packages."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage

from agentkit import SQLDatabase
from agentkit.errors import ConfigurationError, ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.metrics import (
    citation_correctness,
    from_deepeval,
    from_ragas,
    memory_recall,
    named_metric,
    route_accuracy,
    tool_trajectory,
)
from agentkit.evaluation.scores import metric_name, scored
from agentkit.testing import Script, ScriptedChatModel

DOCUMENTS = [Document("Books may be kept for four weeks."), Document("Films for a week.")]


def wanting(**expected):
    return Example("1", {"question": "How long?"}, expected)


# -- steps -----------------------------------------------------------------------------------------

TRACE = {
    "trace": [
        {"tool": "search", "arguments": {"query": "tea"}},
        {"tool": "order", "arguments": {"item": "tea", "count": 2}},
    ]
}
SEARCH, ORDER = {"name": "search", "args": {"query": "tea"}}, "order"


@pytest.mark.parametrize(
    ("match", "tools", "value"),
    [
        ("strict", ["search", "order"], 1),
        ("strict", [SEARCH, ORDER], 1),
        ("strict", [ORDER, SEARCH], 0),
        ("strict", [{"name": "search", "args": {"query": "milk"}}, ORDER], 0),
        ("unordered", [ORDER, SEARCH], 1),
        ("unordered", [ORDER], 0),
        ("superset", [ORDER], 1),
        ("superset", [ORDER, ORDER], 0),
        ("subset", [SEARCH, ORDER, "pay"], 1),
        ("subset", [SEARCH], 0),
        ("subset", [], 0),
    ],
)
def test_tools_are_called_as_expected(match, tools, value):
    assert tool_trajectory(match)(wanting(tools=tools), TRACE).value == value


def test_calls_are_read_from_messages_too():
    call = {"name": "search", "args": {"query": "tea"}, "id": "1"}
    output = {"messages": [HumanMessage("?"), AIMessage("", tool_calls=[call]), AIMessage("Tea.")]}
    assert tool_trajectory()(wanting(tools=[SEARCH]), output).value == 1
    assert tool_trajectory()(wanting(tools=[]), {"messages": [AIMessage("Tea.")]}).value == 1


def test_feedback_names_what_is_missing_and_what_is_besides():
    feedback = tool_trajectory()(wanting(tools=[SEARCH, "pay"]), TRACE).feedback
    assert "Not called: pay(…)." in feedback
    assert 'Called besides: order({"count": 2, "item": "tea"}).' in feedback
    assert tool_trajectory()(wanting(tools=[ORDER, SEARCH]), TRACE).feedback == (
        "Called in another order."
    )


def test_routes_are_taken_as_expected():
    output = {"parts": [{"route": "books"}, {"route": "shop"}]}
    assert route_accuracy(wanting(route=["shop", "books"]), output).value == 1
    assert route_accuracy(wanting(route="books"), output).value == 0
    assert route_accuracy(wanting(route=[]), {"parts": [{"route": ""}]}).value == 1


def test_memories_are_recalled_by_id_message_or_text():
    output = {"memories": [{"id": "a", "message": "m1", "text": "Likes tea"}, {"id": "b"}]}
    wanted = wanting(memories=["m1", "b", "c", "Likes tea"])
    assert memory_recall()(wanted, output).value == 0.75
    assert memory_recall(k=1)(wanted, output).value == 0.5


@pytest.mark.parametrize(
    ("metric", "expected", "output", "told"),
    [
        (tool_trajectory(), {}, TRACE, "no expected 'tools'"),
        (tool_trajectory(), {"tools": "search"}, TRACE, "are a list"),
        (tool_trajectory(), {"tools": [7]}, TRACE, "a name, or a mapping"),
        (tool_trajectory(), {"tools": []}, {}, "no 'messages'"),
        (route_accuracy, {"route": 7}, {"parts": []}, "A name, or a list of names"),
        (memory_recall(), {"memories": []}, {"memories": []}, "is empty"),
        (citation_correctness, {}, {"answer": "x"}, "no 'documents'"),
    ],
)
async def test_steps_that_cannot_be_scored_are_told(metric, expected, output, told):
    with pytest.raises(ScoringError, match=told):
        await scored(metric, wanting(**expected), output)


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    ["exact_match", "recall", "recall@5", "ndcg@10", "tools_subset", "memory_recall@3"],
)
def test_a_metric_is_found_by_its_name_and_has_it(spec):
    assert metric_name(named_metric(spec)) == spec


def test_metrics_that_need_something_are_given_it(make_database):
    shop = SQLDatabase(make_database("sqlite", ["CREATE TABLE items (name TEXT)"]))
    judge = named_metric("groundedness", model=ScriptedChatModel(Script([])))
    assert metric_name(judge) == "groundedness"
    assert metric_name(named_metric("execution_accuracy", database=shop)) == "execution_accuracy"
    assert named_metric("agentkit.evaluation.metrics:exact_match").name == "exact_match"


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("exakt_match", "Did you mean 'exact_match'"),
        ("recall@", "recall@5, for example"),
        ("recall@x", "recall@5, for example"),
        ("recall@0", "`k` is a whole number"),
        ("exact_match@3", "There is no metric"),
        ("execution_accuracy", "needs the database"),
        ("nowhere:metric", "No module named 'nowhere'"),
        ("sys:argv", "cannot be called"),
        ("tools_", "There is no metric"),
    ],
)
def test_a_name_that_is_none_is_told(spec, told):
    with pytest.raises(ConfigurationError, match=told):
        named_metric(spec)


def test_a_match_that_is_none_is_refused():
    with pytest.raises(ConfigurationError, match="'strict', 'unordered'"):
        tool_trajectory("loose")


# -- other packages --------------------------------------------------------------------------------


class Case(SimpleNamespace):
    """What both packages' cases are here: the fields that they were made with."""


@pytest.fixture
def packages(monkeypatch):
    """Stand-ins of the packages' modules: what the adapters use of them."""
    ragas, deepeval = ModuleType("ragas"), ModuleType("deepeval")
    test_case = ModuleType("deepeval.test_case")
    ragas.SingleTurnSample = test_case.LLMTestCase = Case
    for name, module in (
        ("ragas", ragas),
        ("deepeval", deepeval),
        ("deepeval.test_case", test_case),
    ):
        module.__spec__ = SimpleNamespace(name=name)
        monkeypatch.setitem(sys.modules, name, module)


OUTPUT = {"answer": "Four weeks.", "documents": DOCUMENTS}


@pytest.mark.usefixtures("packages")
async def test_a_metric_of_ragas_is_given_a_sample():
    class Faithful:
        name = "faithful"

        async def single_turn_ascore(self, sample):
            assert sample.retrieved_contexts == [each.page_content for each in DOCUMENTS]
            assert (sample.user_input, sample.response) == ("How long?", "Four weeks.")
            return float(sample.reference == "Four weeks")

    metric = from_ragas(Faithful())
    assert metric_name(metric) == "ragas_faithful"
    assert (await scored(metric, wanting(answer=["Four weeks", "28 days"]), OUTPUT)).value == 1
    assert (await scored(metric, wanting(), OUTPUT)).value == 0


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("value", [float("nan"), None, "good"])
async def test_a_score_of_ragas_that_is_none_is_told(value):
    class Odd:
        async def single_turn_ascore(self, sample):
            return value

    with pytest.raises(ScoringError, match="ragas_Odd gave"):
        await scored(from_ragas(Odd()), wanting(), OUTPUT)


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("is_async", [True, False])
async def test_a_metric_of_deepeval_is_given_a_case_and_tells_its_reason(is_async):
    class Sync:
        score = None

        def measure(self, case):
            self.score = float(case.actual_output == "Four weeks.")
            self.reason = f"It was asked {case.input}"

    class Async(Sync):
        async def a_measure(self, case):
            self.measure(case)

    made = (Async if is_async else Sync)()
    score = await scored(from_deepeval(made), wanting(answer="Four weeks"), OUTPUT)
    assert (score.value, score.feedback) == (1.0, "It was asked How long?")
    assert made.score is None  # scored at once with others, it would hold another's score


def test_a_package_that_is_missing_is_named():
    with pytest.raises(ConfigurationError, match="pip install ragas"):
        from_ragas(object())
    with pytest.raises(ConfigurationError, match="pip install deepeval"):
        from_deepeval(object())


@pytest.mark.usefixtures("packages")
def test_what_is_no_metric_of_a_package_is_refused():
    with pytest.raises(ConfigurationError, match="single-turn metric of Ragas"):
        from_ragas(object())
    with pytest.raises(ConfigurationError, match="metric of DeepEval"):
        from_deepeval(object())
