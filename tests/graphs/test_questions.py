"""The one input contract: what counts as a question, and the conversation before it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.retrievers import BaseRetriever

from agentkit import create_rag
from agentkit.errors import InvalidInputError
from agentkit.graphs.questions import read_input, transcript
from agentkit.testing import ScriptedChatModel

EARLIER = [HumanMessage("Who was Ada?"), AIMessage("A mathematician.")]
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


class OneDocument(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager):
        return [Document("Ada was born in 1815.", id="ada")]


def read(max_chars=100, **state):
    return read_input(state, max_chars=max_chars)


def test_a_question_alone_has_nothing_before_it():
    asked = read(question="Who?")
    assert (asked.question, list(asked.earlier), asked.new) == ("Who?", [], True)


def test_a_question_beside_messages_comes_after_them():
    asked = read(question="When?", messages=EARLIER)
    assert (asked.question, list(asked.earlier), asked.new) == ("When?", EARLIER, True)


def test_the_last_human_message_is_the_question():
    asked = read(messages=[*EARLIER, HumanMessage("When?")])
    assert (asked.question, list(asked.earlier), asked.new) == ("When?", EARLIER, False)


def test_what_follows_the_last_human_message_is_passed_over():
    asked = read(messages=[HumanMessage("Who?"), AIMessage("Wait."), SystemMessage("Go on.")])
    assert (asked.question, list(asked.earlier)) == ("Who?", [])


def test_the_text_of_a_message_with_an_image_is_the_question():
    assert (
        read(messages=[HumanMessage([{"type": "text", "text": "Who?"}, IMAGE])]).question == "Who?"
    )


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({}, "There is no question"),
        ({"question": None, "messages": None}, "There is no question"),
        ({"messages": []}, "There is no question"),
        ({"messages": [AIMessage("Hello.")]}, "There is no question"),
        ({"question": ""}, "empty"),
        ({"question": " \n\t "}, "empty"),
        ({"question": "\0\0"}, "empty"),
        ({"question": "", "messages": EARLIER}, "empty"),
        ({"messages": [HumanMessage("")]}, "empty"),
        ({"messages": [HumanMessage([IMAGE])]}, "empty"),
        ({"question": b"Who?"}, "text; got bytes"),
        ({"question": 7}, "text; got int"),
        ({"question": ["Who?"]}, "text; got list"),
        ({"question": "x" * 1_000_000}, "1,000,000 characters; the limit is 100"),
        ({"messages": [HumanMessage("x" * 101)]}, "101 characters"),
    ],
)
def test_what_is_no_question_is_told(state, told):
    with pytest.raises(InvalidInputError, match=told):
        read(**state)


def test_a_question_of_just_the_limit_is_taken():
    assert len(read(question="x" * 100).question) == 100


@given(st.text(alphabet=st.characters(exclude_categories=()), min_size=1, max_size=50))
def test_any_text_becomes_a_question_that_can_be_sent_or_is_told_to_be_empty(text):
    try:
        question = read(question=text).question
    except InvalidInputError:
        assert not text.replace("\0", " ").strip()
    else:
        question.encode()
        assert "\0" not in question
        assert question == question.strip() != ""


def test_messages_given_as_mappings_are_messages_in_a_graph():
    graph = create_rag(ScriptedChatModel("In 1815 [1]."), OneDocument())
    told = graph.invoke({"messages": [{"role": "user", "content": "When was Ada born?"}]})
    assert told["answer"] == "In 1815 [1]."
    assert [message.type for message in told["messages"]] == ["human", "ai"]


class TestTranscript:
    def test_it_is_the_conversation_the_oldest_first(self):
        assert transcript(EARLIER, turns=6) == "User: Who was Ada?\nAssistant: A mathematician."

    def test_it_goes_back_as_many_questions_as_told(self):
        messages = [*EARLIER, HumanMessage("When?"), AIMessage("In 1815."), AIMessage("In London.")]
        assert transcript(messages, turns=1) == (
            "User: When?\nAssistant: In 1815.\nAssistant: In London."
        )
        assert transcript(messages, turns=0) == ""

    def test_calls_of_tools_and_what_has_no_text_are_left_out(self):
        call = {"name": "look", "args": {}, "id": "1"}
        messages = [
            SystemMessage("Be kind."),
            HumanMessage("Who?"),
            AIMessage("", tool_calls=[call]),
            ToolMessage("found", tool_call_id="1"),
            AIMessage("Ada."),
            HumanMessage([IMAGE]),
        ]
        assert transcript(messages, turns=6) == "User: Who?\nAssistant: Ada."

    def test_its_end_is_kept_when_it_is_too_long(self):
        kept = transcript([HumanMessage("x" * 1_000_000), AIMessage("the end")], turns=6)
        assert len(kept) == 8_000
        assert kept.endswith("the end")

    def test_nothing_said_is_an_empty_transcript(self):
        assert transcript([], turns=6) == ""
