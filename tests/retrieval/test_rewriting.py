import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.errors import ConfigurationError, PromptOutputError
from agentkit.prompts import PromptSet
from agentkit.retrieval import Decompose, HyDE, MultiQuery, StepBack, query
from agentkit.retrieval.rewriting import (
    DECOMPOSE,
    HYPOTHETICAL_PASSAGE,
    MULTI_QUERY,
    STEP_BACK,
    distinct,
)
from agentkit.testing import Script, ScriptedChatModel

QUESTION = "What is the capital of France?"


class OneOfManyFails(ScriptedChatModel):
    """Fails the first call, and never answers the others."""

    begun: list[int] = []

    async def _agenerate(self, *_, **__):
        self.begun.append(1)
        if len(self.begun) == 1:
            raise ValueError("model is busy")
        await asyncio.Event().wait()


def model(*replies):
    return ScriptedChatModel(Script(list(replies)))


def texts(queries):
    return [item["text"] for item in queries]


async def test_where_one_passage_fails_no_other_is_written_any_more():
    asked = OneOfManyFails(Script())
    with pytest.raises(ValueError, match="model is busy"):
        await HyDE(4).rewrite(QUESTION, model=asked)
    for _ in range(20):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_multi_query_asks_for_as_many_variants_as_wanted():
    asked = model({"queries": ["capital city France", "French seat of government"]})
    queries = await MultiQuery(2).rewrite(QUESTION, model=asked)
    assert queries == [query("capital city France"), query("French seat of government")]
    assert "<count>\n2\n</count>" in asked.script.calls[0].text


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ([], []),
        (["", " ", "?"], []),
        (["", "a", "A.", "b"], ["a", "b"]),
        ([f"q{number}" for number in range(500)], ["q0", "q1", "q2"]),
        (["only one"], ["only one"]),
    ],
)
async def test_multi_query_takes_what_is_of_use_and_no_more_than_asked(written, kept):
    assert texts(await MultiQuery(3).rewrite(QUESTION, model=model({"queries": written}))) == kept


async def test_hyde_keeps_the_question_and_its_passages_in_one_query():
    queries = await HyDE(2).rewrite(QUESTION, model=model(" Paris is it.\n", "It is Paris."))
    assert queries == [
        query(QUESTION, kind="hypothetical", passages=["Paris is it.", "It is Paris."])
    ]


async def test_hyde_goes_on_with_the_passages_that_are_not_empty():
    queries = await HyDE(3).rewrite(QUESTION, model=model("", "Paris.", " \n"))
    assert queries[0]["passages"] == ["Paris."]
    assert await HyDE(2).rewrite(QUESTION, model=model("", "")) == []


async def test_hyde_writes_all_passages_at_once():
    started = 0
    all_started = asyncio.Event()

    class Gathering(ScriptedChatModel):
        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            nonlocal started
            started += 1
            if started == 5:
                all_started.set()
            await asyncio.wait_for(all_started.wait(), 30)
            return await super()._agenerate(messages, stop, run_manager, **kwargs)

    queries = await HyDE(5).rewrite(QUESTION, model=Gathering(Script("Paris.")))
    assert started == len(queries[0]["passages"]) == 5


async def test_step_back_asks_the_broader_question():
    queries = await StepBack().rewrite(QUESTION, model=model({"broader": "What are capitals?"}))
    assert queries == [query("What are capitals?", kind="step_back")]


@pytest.mark.parametrize("written", ["", " ", QUESTION, "what is the capital of france"])
async def test_a_step_back_that_leads_nowhere_is_none(written):
    assert await StepBack().rewrite(QUESTION, model=model({"broader": written})) == []


async def test_decompose_gives_the_parts_of_a_question():
    parts = ["Capital of France?", "", "Capital of Italy?", "capital of france"]
    queries = await Decompose().rewrite("Both?", model=model({"questions": parts}))
    assert queries == [
        query("Capital of France?", kind="sub_question"),
        query("Capital of Italy?", kind="sub_question"),
    ]


@pytest.mark.parametrize("parts", [[], [""], [QUESTION], [QUESTION, "why"], ["one"], ["a", "A?"]])
async def test_a_simple_question_has_no_parts(parts):
    assert await Decompose().rewrite(QUESTION, model=model({"questions": parts})) == []


async def test_decompose_keeps_at_most_so_many_parts():
    parts = [f"part {number}" for number in range(100)]
    queries = await Decompose(most=3).rewrite(QUESTION, model=model({"questions": parts}))
    assert texts(queries) == parts[:3]


@pytest.mark.parametrize("technique", [MultiQuery, HyDE, Decompose])
@pytest.mark.parametrize("count", [0, -1, 17, 2.5, "3", None])
def test_a_count_out_of_bounds_is_refused(technique, count):
    with pytest.raises(ConfigurationError, match="Ask for 1 to 16"):
        technique(count)


@pytest.mark.parametrize("technique", [MultiQuery(), StepBack(), Decompose()])
async def test_a_reply_that_is_no_json_is_an_error_after_one_repair(technique):
    asked = model("nonsense", "again")
    with pytest.raises(PromptOutputError):
        await technique.rewrite(QUESTION, model=asked)
    assert len(asked.script.calls) == 2


@pytest.mark.parametrize(
    ("technique", "reply"),
    [
        (MultiQuery(1), {"queries": ["x"]}),
        (HyDE(1), "x"),
        (StepBack(), {"broader": "x"}),
        (Decompose(), {"questions": ["x", "y"]}),
    ],
)
async def test_each_technique_declares_the_prompt_it_asks_with(technique, reply):
    (prompt,) = technique.prompts
    asked = model(reply)
    prompts = PromptSet({prompt.name: "Do as I say."})
    assert await technique.rewrite(QUESTION, model=asked, prompts=prompts)
    assert asked.script.calls[0].system == "Do as I say."


@pytest.mark.parametrize("prompt", [MULTI_QUERY, STEP_BACK, DECOMPOSE])
def test_the_schemas_are_simple(prompt):
    (field,) = prompt.schema["properties"].values()
    assert field.keys() <= {"type", "items", "title", "description"}
    assert HYPOTHETICAL_PASSAGE.output is str


def test_repeated_empty_and_known_queries_are_dropped():
    given_queries = [
        query(text) for text in ("A b?", " a  B ", "", " ", "?!", "c", "Known.", "C。")
    ]
    assert texts(distinct(given_queries, known=["known"])) == ["A b?", "c"]


def test_a_query_with_passages_repeats_only_itself():
    plain = query("q")
    passages = query("q", kind="hypothetical", passages=["p"])
    assert distinct([plain, passages, passages], known=[]) == [plain, passages]
    assert distinct([passages], known=["q"]) == [passages]


def test_a_sub_question_is_not_lost_to_a_variant_that_says_the_same():
    part = query("Capital of Italy?", kind="sub_question")
    assert distinct([query("capital of italy"), query("b"), part]) == [part, query("b")]
    assert distinct([part, query("capital of italy")]) == [part]


@given(st.lists(st.sampled_from(["a", "A", "a?", "b ", "", "c"]).map(query)))
def test_distinct_queries_stay_as_they_are(queries):
    once = distinct(queries)
    assert distinct(once) == once
    assert all(item in queries for item in once)
