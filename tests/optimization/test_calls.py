"""Calls of models: kept, counted, kept within a budget."""

import asyncio
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from agentkit.errors import BudgetError, ConfigurationError
from agentkit.evaluation.scores import Score
from agentkit.evaluation.usage import ModelUsage, Usage
from agentkit.optimization import Budget, Spent
from agentkit.optimization.calls import Calls, Kept, one_run
from agentkit.optimization.spending import Meter
from agentkit.testing import Reply, Script, ScriptedChatModel

counts = st.integers(0, 10_000)


def kept_in(folder):
    kept = Kept(folder)
    kept.open()
    return kept


def calls(budget=1_000, folder=None, prices=None):
    return Calls(Meter(Budget.of(budget), prices), kept_in(folder))


class Warm(ScriptedChatModel):
    temperature: float = 0.0


def test_what_was_asked_before_is_not_asked_again():
    model = ScriptedChatModel(["one", "two"])
    kept = calls().of(model)

    assert [kept.invoke("a").text for _ in range(3)] == ["one", "one", "one"]
    assert len(model.script.calls) == 1


async def test_async_too():
    model = ScriptedChatModel(["one", "two"])
    kept = calls().of(model)

    assert [(await kept.ainvoke("a")).text for _ in range(2)] == ["one", "one"]


def test_one_run_that_asks_twice_gets_two_samples_and_the_next_the_same_two():
    kept = calls().of(ScriptedChatModel(["one", "two"]))

    def sampled():
        with one_run():
            return [kept.invoke("a").text for _ in range(2)]

    assert sampled() == sampled() == ["one", "two"]


async def test_also_where_it_asks_at_once():
    kept = calls().of(ScriptedChatModel(["one", "two"]))
    with one_run():
        first = await asyncio.gather(*(kept.ainvoke("a") for _ in range(2)))
    with one_run():
        second = await asyncio.gather(*(kept.ainvoke("a") for _ in range(2)))

    assert {reply.text for reply in first} == {reply.text for reply in second} == {"one", "two"}


def test_another_sample_is_asked_anew():
    kept = calls().of(ScriptedChatModel(["one", "two"]))
    replies = []
    for sample in (0, 1, 0, 1):
        with one_run(sample):
            replies.append(kept.invoke("a").text)

    assert replies == ["one", "two", "one", "two"]


def test_another_temperature_is_another_call():
    model, made = Warm(["cold", "warm"]), calls()

    assert made.of(model).invoke("a").text == "cold"
    assert made.of(model, temperature=1.0).invoke("a").text == "warm"
    assert made.of(model).invoke("a").text == "cold"


def test_a_kept_reply_in_a_conversation_asks_for_the_same_again():
    call = {"name": "look", "args": {"at": "it"}}
    model = ScriptedChatModel([Reply(tool_calls=[call]), "done", "again"])
    kept = calls().of(model)

    def conversation():
        first = kept.invoke([HumanMessage("a")])
        told = ToolMessage("seen", tool_call_id=first.tool_calls[0]["id"])
        return kept.invoke([HumanMessage("a"), first, told]).text

    assert [conversation() for _ in range(2)] == ["done", "done"]
    assert len(model.script.calls) == 2


def test_another_process_finds_them_in_the_file(tmp_path):
    first = calls(folder=tmp_path)
    first.of(ScriptedChatModel("one")).invoke("a")
    first.kept.close()
    second = calls(folder=tmp_path)

    assert second.of(ScriptedChatModel("two")).invoke("a").text == "one"
    assert second.meter.total.calls == 1
    assert second.meter.total.made == 0


def test_calls_over_the_budget_are_refused():
    model, made = ScriptedChatModel("one"), calls(2)
    for question in ("a", "b", "a"):
        made.of(model).invoke(question)

    with pytest.raises(
        BudgetError, match=r"budget of 2 model calls is used up, after 2 calls, 4 tokens"
    ):
        made.of(model).invoke("c")
    assert "used up" in made.meter.refusal
    assert len(model.script.calls) == 2


def test_a_failed_call_counts():
    made = calls(1)
    with pytest.raises(ValueError, match="no"):
        made.of(ScriptedChatModel(ValueError("no"))).invoke("a")
    with pytest.raises(BudgetError):
        made.of(ScriptedChatModel("one")).invoke("b")


def test_a_part_of_the_budget_is_kept_back():
    model, made = ScriptedChatModel("one"), calls(3)
    with made.meter.reserving(Spent(calls=2)):
        made.of(model).invoke("a")
        with pytest.raises(BudgetError):
            made.of(model).invoke("b")
    made.of(model).invoke("b")

    assert not made.meter.refusal


def test_a_call_that_failed_counts_again_when_it_is_made_again():
    model = ScriptedChatModel([ValueError("no"), ValueError("no"), "one"])
    made = calls()
    kept = made.of(model)
    for _ in range(2):
        with one_run(), pytest.raises(ValueError, match="no"):
            kept.invoke("a")
    for _ in range(2):
        with one_run():
            assert kept.invoke("a").text == "one"

    assert made.meter.total.calls == len(model.script.calls) == 3


def test_what_is_asked_for_an_optimiser_is_another_sample_each_time():
    made = calls()
    kept = made.of(ScriptedChatModel(["one", "two"]))
    replies = []
    for _ in range(2):
        with made.writing():
            replies.append(kept.invoke("a").text)

    assert replies == ["one", "two"]


def test_nothing_is_made_after_a_stop():
    model, made = ScriptedChatModel("one"), calls()
    made.meter.stop("It is late.")

    with pytest.raises(BudgetError, match="It is late"):
        made.of(model).invoke("a")
    assert model.script.calls == []


def test_tokens_and_money_are_counted_by_model():
    prices = {"small": (1.0, 2.0), "large": (10.0, 20.0)}
    made = calls(prices=prices)
    for name in ("small", "large"):
        script = Script(Reply("three words long", usage=(1_000_000, 500_000)))
        made.of(ScriptedChatModel(script, model_name=name)).invoke(f"asked of {name}")

    assert made.meter.total == Spent(2, 2, 2_000_000, 1_000_000, 22.0)


def test_a_model_without_a_price_is_not_asked_twice_on_a_budget_of_money():
    made = calls(Budget(cost=1.0), prices={"large": (10.0, 20.0)})
    kept = made.of(ScriptedChatModel("one", model_name="small"))
    kept.invoke("a")

    with pytest.raises(BudgetError, match="no price of the model 'small'"):
        kept.invoke("b")


def test_a_model_that_reports_no_tokens_is_not_asked_twice_on_a_budget_of_them():
    made = calls(Budget(tokens=1_000))
    kept = made.of(FakeListChatModel(responses=["one"]))
    kept.invoke("a")

    with pytest.raises(BudgetError, match="give one of calls"):
        kept.invoke("b")


def test_money_needs_prices():
    with pytest.raises(BudgetError, match="cannot be kept to without prices"):
        calls(Budget(cost=1.0))


@given(st.tuples(counts, counts, counts, counts), st.tuples(counts, counts, counts, counts))
def test_what_is_spent_adds_up(one, other):
    together = Spent(*one, 1.0) + Spent(*other, 0.5)

    assert together == Spent(*(a + b for a, b in zip(one, other, strict=True)), 1.5)


@given(counts, st.floats(0, 100))
def test_times_is_never_too_little(calls, factor):
    assert Spent(calls=calls).times(factor).calls >= calls * factor


@pytest.mark.parametrize("limit", [{"calls": 0}, {"tokens": -1}, {"cost": float("nan")}])
def test_a_limit_is_a_number_above_nothing(limit):
    with pytest.raises(ConfigurationError, match="above 0"):
        Budget(**limit)


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "calls.sqlite").write_text("hello " * 100)
    with pytest.raises(ConfigurationError, match="No calls can be kept in"):
        kept_in(tmp_path)


def test_a_reply_keeps_what_it_says(tmp_path):
    kept = kept_in(tmp_path)
    reply = AIMessage("Ü", tool_calls=[{"name": "a", "args": {"b": 1}, "id": "c"}], id="d")
    kept.put_reply("key", reply)

    found = kept.reply("key")
    assert (found.content, found.tool_calls) == (reply.content, reply.tool_calls)
    assert found.id is None
    assert kept.reply("other") is None


def test_a_score_keeps_what_it_took(tmp_path):
    kept = kept_in(tmp_path)
    usage = Usage({"judge": ModelUsage(2, 30, 4)})
    kept.put_score("key", Score(0.5, "So so."), usage)

    assert kept.score("key") == (Score(0.5, "So so."), usage)
    assert kept.score("other") is None


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"type": "ai"}', '{"value": 1}', "7"])
def test_an_entry_that_cannot_be_read_is_as_good_as_none(content, tmp_path):
    kept = kept_in(tmp_path)
    with sqlite3.connect(tmp_path / "calls.sqlite") as other:
        other.execute("INSERT INTO kept VALUES ('key', ?)", (content,))

    assert kept.reply("key") is None
    assert kept.score("key") is None


def test_what_cannot_be_kept_is_told_and_loses_no_reply(tmp_path):
    made = calls(folder=tmp_path)
    with sqlite3.connect(tmp_path / "calls.sqlite") as other:
        other.execute("DROP TABLE kept")  # as good as a full disk

    assert made.of(ScriptedChatModel("one")).invoke("a").text == "one"
    assert "Not all calls could be kept in cache=" in made.kept.problem
