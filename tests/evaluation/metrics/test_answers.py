"""Answers against expected ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage

from agentkit.errors import ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.metrics import contains, exact_match, token_f1


def score(metric, answer, *wanted):
    example = Example("1", {"question": "?"}, {"answer": list(wanted)})
    return metric(example, {"answer": answer}).value


@pytest.mark.parametrize(
    ("answer", "wanted", "exact", "f1", "inside"),
    [
        ("Four weeks", "four weeks", 1, 1, 1),
        ("The four weeks!", "four  weeks", 1, 1, 1),
        ("For four weeks [1].", "four weeks", 0, 4 / 5, 1),
        ("Four weeks [1, 2].", "four weeks", 1, 1, 1),
        ("", "four weeks", 0, 0, 0),
        ("weeks", "four weeks", 0, 2 / 3, 0),
        ("fourteen weeks", "four weeks", 0, 1 / 2, 0),
        ("four four weeks", "four weeks", 0, 4 / 5, 1),
        ("三周", "三周。", 1, 1, 1),
        ("三個月", "三周", 0, 2 / 5, 0),
        ("VIER WOCHEN", "vier Wochen", 1, 1, 1),
        ("café", "cafe\u0301", 1, 1, 1),
        ("दीन", "दिन", 0, 0, 0),
        ("मुंबई में", "मुंबई", 0, 2 / 3, 1),
        ("مُحَمَّد", "محمد", 1, 1, 1),
        ("It is A.", "A", 0, 0, 1),
        ("A", "a", 1, 1, 1),
        ("", "A", 0, 0, 0),
        ("The", "A", 0, 0, 0),
        ("+", "+", 1, 1, 1),
        ("-", "+", 0, 0, 0),
    ],
)
def test_words_are_compared_as_a_reader_would(answer, wanted, exact, f1, inside):
    assert score(exact_match, answer, wanted) == exact
    assert score(token_f1, answer, wanted) == pytest.approx(f1)
    assert score(contains, answer, wanted) == inside


def test_the_best_of_several_acceptable_answers_counts():
    assert score(exact_match, "28 days", "four weeks", "28 days") == 1


def test_one_answer_may_be_given_without_a_list():
    example = Example("1", {}, {"answer": "four weeks"})
    assert exact_match(example, {"answer": "Four weeks."}).value == 1
    assert exact_match(Example("1", {}, {"answer": 3}), {"answer": 3}).value == 1


def test_the_last_message_is_the_answer_where_there_is_no_other():
    messages = [HumanMessage("four weeks"), AIMessage("Three."), HumanMessage("?")]
    assert exact_match(Example("1", {}, {"answer": "three"}), {"messages": messages}).value == 1


def test_feedback_shows_both():
    feedback = exact_match(Example("1", {}, {"answer": "a week"}), {"answer": "a day"}).feedback
    assert feedback == "Expected: a week. Answered: a day."


TEXTS = st.text() | st.lists(st.sampled_from(["a", "tea", "Tea!", "周", "दिन", "+"])).map(" ".join)


@given(one=TEXTS, other=TEXTS.filter(str.strip))
def test_f1_is_symmetric_and_no_less_than_the_exact_match(one, other):
    f1 = score(token_f1, one, other)
    assert 0 <= f1 <= 1
    if one.strip() and "[" not in one + other:  # the marks of citations count in answers alone
        assert score(token_f1, other, one) == pytest.approx(f1)
    assert score(exact_match, one, other) <= min(f1, score(contains, one, other))


@given(answer=TEXTS.filter(lambda text: text.strip() and "[" not in text))
def test_an_answer_is_what_it_is(answer):
    assert [score(each, answer, answer) for each in (exact_match, token_f1, contains)] == [1, 1, 1]


@given(answer=TEXTS, wanted=st.lists(TEXTS.filter(str.strip), min_size=1))
def test_more_acceptable_answers_never_score_less_whatever_their_order(answer, wanted):
    best = score(token_f1, answer, *wanted)
    assert best == score(token_f1, answer, *reversed(wanted))
    assert best == max(score(token_f1, answer, each) for each in wanted)


@pytest.mark.parametrize(
    ("expected", "output", "told"),
    [
        ({}, {"answer": "x"}, "no expected 'answer'; it has nothing"),
        ({"answer": ""}, {"answer": "x"}, "'answer' is empty"),
        ({"answer": []}, {"answer": "x"}, "'answer' is empty"),
        ({"answer": None}, {"answer": "x"}, "'answer' is empty"),
        ({"answer": ["x", " "]}, {"answer": "x"}, "'answer' is empty"),
        ({"answer": ["x", None]}, {"answer": "x"}, "is a text, or several; got"),
        ({"answer": {"text": "x"}}, {"answer": "x"}, "is a text, or several; got"),
        ({"answer": "x"}, {"rows": []}, "The output has no 'answer'; it has rows"),
        ({"answer": "x"}, {}, "it has nothing"),
    ],
)
def test_what_cannot_be_compared_is_told(expected, output, told):
    with pytest.raises(ScoringError, match=told):
        token_f1(Example("1", {}, expected), output)
