"""What runs take, what it costs, and budgets that stop an evaluation and keep what is done."""

import asyncio

import pytest
from langchain_core.language_models import BaseChatModel, FakeListLLM
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from agentkit.errors import BudgetError
from agentkit.evaluation import Budget, ModelUsage, Usage, evaluate
from agentkit.testing import Reply, ScriptedChatModel

ROWS = [{"question": f"question {n}"} for n in range(10)]


def said(example, output):
    return float(bool(output["answer"]))


def calling(model, times=1):
    async def graph(inputs):
        replies = [await model.ainvoke(inputs["question"]) for _ in range(times)]
        return replies[-1].text

    return graph


def model(tokens=(90, 10), name="scripted"):
    return ScriptedChatModel(Reply("yes", usage=tokens), model_name=name)


class Silent(BaseChatModel):
    """A model that reports neither tokens nor its name."""

    @property
    def _llm_type(self):
        return "silent"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return ChatResult(generations=[ChatGeneration(message=AIMessage("yes"))])


class Caching(Silent):
    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        usage = {
            "input_tokens": 1000,
            "output_tokens": 100,
            "total_tokens": 1100,
            "input_token_details": {"cache_read": 400},
        }
        told = {"model_name": "gpt-5-mini-2025-08-07"}
        message = AIMessage("yes", usage_metadata=usage, response_metadata=told)
        return ChatResult(generations=[ChatGeneration(message=message)])


# --- counting


def test_calls_and_tokens_are_counted_by_model():
    big, small = model((100, 20), "big"), model((10, 2), "small")

    async def graph(inputs):
        await small.ainvoke("rewrite")
        return (await big.ainvoke("answer")).text

    usage = evaluate(graph, ROWS[:3], said).usage
    assert usage == Usage({"small": ModelUsage(3, 30, 6), "big": ModelUsage(3, 300, 60)})
    assert (usage.calls, usage.input_tokens, usage.output_tokens, usage.tokens) == (6, 330, 66, 396)


def test_sync_and_streamed_calls_and_completion_models_are_counted():
    llm = FakeListLLM(responses=["yes"])

    def graph(inputs):
        list(model().stream("a"))
        model().invoke("b")
        return llm.invoke("c")

    usage = evaluate(graph, ROWS[:2], said).usage
    assert usage.calls == 6
    assert usage.tokens == 400
    assert usage.unreported == 2


def test_a_call_that_is_given_its_own_callbacks_is_counted_too():
    async def graph(inputs):
        return (await model().ainvoke("a", {"callbacks": []})).text

    assert evaluate(graph, ROWS[:1], said).usage.calls == 1


def test_calls_outside_of_an_evaluation_are_not_counted():
    scripted = model()
    report = evaluate(calling(scripted), ROWS[:1], said)
    scripted.invoke("later")
    assert report.usage.calls == 1


def test_latency_is_between_the_runs():
    async def graph(inputs):
        await asyncio.sleep(0.001)
        return "yes"

    report = evaluate(graph, ROWS, said)
    seconds = sorted(trial.run.seconds for trial in report.trials)
    assert report.latency(50) == pytest.approx((seconds[4] + seconds[5]) / 2)
    assert report.latency(0) == seconds[0]
    assert report.latency(100) == seconds[-1]
    assert seconds[-2] <= report.latency(95) <= seconds[-1]


def test_without_a_run_that_succeeded_there_is_no_latency():
    def graph(inputs):
        raise OSError

    report = evaluate(graph, ROWS[:1], said)
    assert report.latency(50) is None
    assert report.figures["seconds_p95"] is None
    assert "OSError" in str(report)


# --- cost


def test_the_cost_is_of_the_longest_name_that_the_model_s_begins_with():
    prices = {"gpt-5": (100, 100), "gpt-5-mini": (1, 10, 0.25)}
    report = evaluate(calling(Caching()), ROWS[:1], said, prices=prices)
    # 600 fresh at 1, 400 from the provider's cache at 0.25, 100 written at 10, by the million
    assert report.cost == pytest.approx((600 + 100 + 1000) / 1e6)
    assert report.figures["cost_per_run"] == report.cost


def test_without_a_price_of_what_the_cache_read_it_costs_as_all_input():
    report = evaluate(calling(Caching()), ROWS[:1], said, prices={"gpt-5-mini": (1, 10)})
    assert report.cost == pytest.approx((1000 + 1000) / 1e6)


def test_a_model_without_a_price_leaves_the_cost_unknown():
    assert evaluate(calling(model()), ROWS[:1], said, prices={"other": (1, 1)}).cost is None
    assert evaluate(calling(model()), ROWS[:1], said).cost is None


# --- budgets


@pytest.mark.parametrize(
    ("budget", "prices"),
    [
        (10, None),
        (Budget(calls=10), None),
        (Budget(tokens=1000), None),
        (Budget(cost=1.0), {"scripted": (1000, 1000)}),
        (Budget(calls=10, tokens=100_000), None),
    ],
)
def test_a_budget_stops_the_evaluation_and_what_is_done_is_kept(budget, prices):
    scripted = model()
    report = evaluate(
        calling(scripted, times=2), ROWS, said, budget=budget, prices=prices, concurrency=4
    )
    assert [item.example.id for item in report.items] == ["1", "2", "3", "4", "5"]
    assert report.scores("said") == [1.0] * 5
    assert report.examples == 10
    assert report.stopped.startswith("The budget of ")
    assert "5 of 10 examples are done" in " ".join(str(report).split())
    assert len(scripted.script.calls) == 10


def test_a_budget_that_suffices_stops_nothing():
    report = evaluate(calling(model()), ROWS, said, budget=10)
    assert report.stopped == ""
    assert len(report.items) == 10


def test_no_call_is_made_over_the_budget_even_within_one_run():
    scripted = model()
    report = evaluate(calling(scripted, times=50), ROWS, said, budget=7)
    assert len(scripted.script.calls) == 7
    assert report.items == ()
    assert report.stopped == "The budget of 7 model calls is used up."
    assert report.interval("said") is None
    assert "0 of 10 examples are done" in " ".join(str(report).split())


def test_a_run_that_went_on_without_a_refused_call_is_no_result():
    scripted = model()

    async def forgiving(inputs):
        for _ in range(4):
            try:
                await scripted.ainvoke("a")
            except BudgetError:
                return "gave up"
        return "yes"

    report = evaluate(forgiving, ROWS, said, budget=6)
    assert [trial.run.output["answer"] for trial in report.trials] == ["yes"]


def test_a_budget_counts_the_calls_of_metrics():
    judge = model()

    async def judged(example, output):
        await judge.ainvoke("judge")
        return 1

    report = evaluate(calling(model()), ROWS, judged, budget=5, concurrency=1)
    assert len(report.items) == 2
    assert report.spent.calls <= 5


def test_a_metric_that_was_refused_a_call_leaves_the_run_out():
    judge = model()

    async def judged(example, output):
        for _ in range(3):
            await judge.ainvoke("judge")
        return 1

    report = evaluate(calling(model()), ROWS, judged, budget=3, concurrency=1)
    assert report.items == ()
    assert report.failures == {}


def test_a_budget_of_money_needs_prices():
    with pytest.raises(BudgetError, match="cost of 2 cannot be kept to without prices="):
        evaluate(calling(model()), ROWS, said, budget=Budget(cost=2))


def test_a_budget_of_money_stops_at_a_model_without_a_price():
    report = evaluate(calling(model()), ROWS, said, budget=Budget(cost=2), prices={"other": (1, 1)})
    assert report.stopped.startswith("prices= has no price of the model 'scripted'")


def test_a_budget_of_tokens_stops_at_a_model_that_reports_none():
    report = evaluate(calling(Silent()), ROWS, said, budget=Budget(tokens=1000))
    assert "reports no tokens" in report.stopped
    assert len(report.items) == 1


def test_a_budget_of_the_optimiser_is_taken_too():
    class Other:
        calls, tokens, cost = 3, None, None

    assert Budget.of(Other()) == Budget(calls=3)
    assert str(Budget(calls=1000, tokens=5, cost=0.5)) == (
        "1,000 model calls and 5 tokens and a cost of 0.5"
    )
