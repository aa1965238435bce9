"""Calls of models: kept, counted, kept within a budget."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from agentkit.errors import BudgetError, ConfigurationError
from agentkit.optimization.calls import Budget, Calls, KeptReplies, Meter, Spent, one_run
from agentkit.testing import Reply, Script, ScriptedChatModel

counts = st.integers(0, 10_000)


def calls(budget=1_000, path=None):
    return Calls(Meter(Budget.of(budget)), KeptReplies(path))


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
    first = calls(path=tmp_path / "calls.sqlite")
    first.of(ScriptedChatModel("one")).invoke("a")
    first.replies.close()
    second = calls(path=tmp_path / "calls.sqlite")

    assert second.of(ScriptedChatModel("two")).invoke("a").text == "one"
    assert second.meter.spent.calls == 1
    assert second.meter.spent.made == 0


def test_calls_over_the_budget_are_refused():
    model, made = ScriptedChatModel("one"), calls(2)
    for question in ("a", "b", "a"):
        made.of(model).invoke(question)

    with pytest.raises(
        BudgetError, match=r"budget of 2 model calls is used up, after 2 calls, 4 tokens"
    ):
        made.of(model).invoke("c")
    assert made.meter.used_up
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

    assert not made.meter.used_up


def test_tokens_and_money_are_counted():
    budget = Budget(prices=(1.0, 2.0))
    made = Calls(Meter(budget), KeptReplies(None))
    script = Script(Reply("three words long", usage=(1_000_000, 500_000)))
    made.of(ScriptedChatModel(script)).invoke("a")

    assert made.meter.spent == Spent(1, 1, 1_000_000, 500_000, 2.0)


@given(counts, counts, counts, counts)
def test_what_is_added_can_be_taken_away(calls, made, given_, written):
    one, other = Spent(calls, made, given_, written, 1.0), Spent(7, 5, 3, 2, 0.5)

    assert one + other - other == one


@given(counts, st.floats(0, 100))
def test_times_is_never_too_little(calls, factor):
    assert Spent(calls=calls).times(factor).calls >= calls * factor


@pytest.mark.parametrize("limit", [{"calls": 0}, {"tokens": -1}, {"cost": float("nan")}])
def test_a_limit_is_a_number_above_nothing(limit):
    with pytest.raises(ConfigurationError, match="above 0"):
        Budget(prices=(1.0, 1.0), **limit)


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "calls.sqlite").write_text("hello " * 100)
    with pytest.raises(ConfigurationError, match="No calls can be kept in"):
        calls(path=tmp_path / "calls.sqlite")


def test_a_reply_keeps_what_it_says(tmp_path):
    replies = KeptReplies(tmp_path / "calls.sqlite")
    reply = AIMessage("Ü", tool_calls=[{"name": "a", "args": {"b": 1}, "id": "c"}], id="d")
    replies.put("key", reply)

    found = replies.get("key")
    assert (found.content, found.tool_calls) == (reply.content, reply.tool_calls)
    assert found.id is None
    assert replies.get("other") is None
