"""Citations: whether they hold, and whether each sentence has one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from agentkit import create_rag
from agentkit.errors import ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.metrics import (
    CitationCorrectness,
    citation_correctness,
    citation_coverage,
)
from agentkit.retrieval import NOT_IN_DOCUMENTS, check_citations
from agentkit.testing import Script, ScriptedChatModel

EXAMPLE = Example("1", {"question": "How long?"})
DOCUMENTS = [
    Document("Books may be kept for four weeks.", id="books"),
    Document("Films for a week.", id="films"),
]


def correct(answer, *, quotes=False, **output):
    return CitationCorrectness(quotes=quotes)(
        EXAMPLE, {"answer": answer, "documents": DOCUMENTS, **output}
    )


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("Four weeks [1].", 1),
        ("Four weeks [1], or a week [2].", 1),
        ("Four weeks [1], or more [7].", 1 / 2),
        ("Four weeks [1, 2, 3].", 2 / 3),
        ("Four weeks [9].", 0),
        ("Four weeks.", 0),
        ("", 0),
        (NOT_IN_DOCUMENTS, 1),
        ('It is "four weeks" [1].', 1),
        ('It is "nine years" [1].', 0),
        ('It is "nine years" long [1].', 0),
        ('It is "four weeks" [1]. It is "nine years" [1].', 1 / 2),
        ('The "Tea Club" has books. They may be kept for four weeks [1].', 1),
        ("书可以借「四周」[1]。", 0),
    ],
)
def test_a_citation_holds_whose_document_is_there_with_what_is_quoted(answer, value):
    assert correct(answer).value == pytest.approx(value)


def test_an_answer_of_full_stops_takes_no_longer_for_their_number():
    answer = f"It is four weeks{'.' * 300_000}"
    assert citation_coverage(EXAMPLE, {"answer": answer}).value == 0


def test_quotations_are_asked_for_where_that_is_said():
    assert correct("Four weeks [1].", quotes=True).value == 0
    assert correct('It is "four weeks" [1].', quotes=True).value == 1
    score = correct('It is "five weeks" [1].', quotes=True)
    assert (score.value, score.feedback) == (0, '"five weeks" does not stand in document [1].')


ANSWER = "Books may be kept for four weeks [1]. Films: a week [2]."
CITED = check_citations(ANSWER, DOCUMENTS).citations


@pytest.mark.parametrize(
    ("changed", "value", "told"),
    [
        ({}, 1, "Every citation holds."),
        ({"document_id": "films"}, 1 / 2, "[1] names the document 'films', which is another."),
        ({"quote": "nine years"}, 1 / 2, '"nine years" does not stand in document [1].'),
        ({"start": 900, "end": 903}, 2 / 3, "The citation [1] does not stand in the answer"),
        ({"number": 9}, 2 / 3, "The citation [9] does not stand in the answer"),
    ],
)
def test_the_outputs_citations_must_be_those_of_the_answer(changed, value, told):
    cited = [{**CITED[0], **changed}, CITED[1]]
    score = correct(ANSWER, citations=cited)
    assert score.value == pytest.approx(value)
    assert told in score.feedback


class Found(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager):
        return DOCUMENTS


async def test_what_the_graph_returns_holds():
    graph = create_rag(ScriptedChatModel(Script(ANSWER)), Found())
    output = await graph.ainvoke({"question": "How long?"})
    score = citation_correctness(EXAMPLE, output)
    assert (score.value, score.feedback) == (1, "Every citation holds.")
    assert citation_coverage(EXAMPLE, output).value == 1


@pytest.mark.parametrize("citations", [["[1]"], [{"number": 1, "tool": "search"}], [7]])
def test_citations_of_another_kind_are_told(citations):
    with pytest.raises(ScoringError, match="as those of `create_rag`; got"):
        correct(ANSWER, citations=citations)


@given(numbers=st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_the_score_is_the_share_of_the_numbers_that_there_are(numbers):
    answer = " ".join(f"So it is [{number}]." for number in numbers)
    held = sum(number <= len(DOCUMENTS) for number in numbers)
    assert correct(answer).value == pytest.approx(held / len(numbers))


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("You may keep books for four weeks [1]. You may keep films for a week [2].", 1),
        ("You may keep books for four weeks. [1] You may keep films for a week. [2]", 1),
        ("You may keep books for four weeks [1]. That is a long time.", 1 / 2),
        ('It is "kept for four weeks." [1] That is a long time.', 1 / 2),
        ("You may keep books for four weeks.", 0),
        ("Yes [1].", 1),
        ("Yes. You may keep books for four weeks [1].", 1),
        ("Four weeks.", 0),
        ("- Books: four weeks [1]\n- Films: a week", 1 / 2),
        ("书可以借四周[1]。电影可以借一周。", 1 / 2),
        ("", 0),
        ("[1]", 0),
        (NOT_IN_DOCUMENTS, 1),
    ],
)
def test_sentences_with_a_citation_are_counted(answer, value):
    assert citation_coverage(EXAMPLE, {"answer": answer}).value == value
