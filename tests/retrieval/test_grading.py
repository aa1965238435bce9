import pytest
from langchain_core.documents import Document

from agentkit.errors import PromptOutputError
from agentkit.retrieval import new_query, relevant_documents
from agentkit.retrieval.grading import NewQuery, RelevantNumbers
from agentkit.testing import Script, ScriptedChatModel

DOCUMENTS = [Document(f"Text {number}.", id=str(number)) for number in (1, 2, 3)]


def model(*replies):
    return ScriptedChatModel(Script(list(replies)))


@pytest.mark.parametrize(
    ("numbers", "kept"),
    [([3, 1], ["1", "3"]), ([], []), ([2, 2], ["2"]), ([0, -1, 4, 10**30, 1], ["1"])],
)
async def test_relevant_documents_are_kept_in_their_order(numbers, kept):
    found = await relevant_documents("Which?", DOCUMENTS, model=model({"numbers": numbers}))
    assert [document.id for document in found] == kept


async def test_the_model_sees_the_question_and_the_documents_within_the_budget():
    asked = model({"numbers": [1]})
    await relevant_documents("Which?", [Document("x" * 9000)], model=asked, max_chars=500)
    prompt = asked.script.calls[0].messages[-1].text
    assert "<question>\nWhich?\n</question>" in prompt
    assert '<document number="1">' in prompt
    assert len(prompt) < 700


async def test_no_documents_are_graded_without_a_model():
    assert await relevant_documents("Which?", [], model=model("unused")) == []


async def test_broken_grades_are_asked_again_and_then_an_error():
    found = await relevant_documents(
        "Which?", DOCUMENTS, model=model("all of them", {"numbers": [2]})
    )
    assert [document.id for document in found] == ["2"]
    with pytest.raises(PromptOutputError, match=r"rag\.grade"):
        await relevant_documents("Which?", DOCUMENTS, model=model("no", "no"))


async def test_a_new_query_is_unlike_what_was_tried():
    asked = model({"query": "other words"})
    queries = await new_query("Why so?", ["Why so?", "first"], model=asked)
    assert queries == [{"text": "other words", "passages": [], "kind": "variant"}]
    assert "<tried>\n[1] Why so?\n[2] first\n</tried>" in asked.script.calls[0].text


@pytest.mark.parametrize("repeated", ["why so", "FIRST.", "", "  "])
async def test_a_repeated_or_empty_query_is_none(repeated):
    assert await new_query("Why so?", ["first"], model=model({"query": repeated})) == []


def test_the_schemas_are_simple():
    for output in (RelevantNumbers, NewQuery):
        schema = output.model_json_schema()
        assert "$defs" not in schema
        assert schema["required"] == list(schema["properties"])
