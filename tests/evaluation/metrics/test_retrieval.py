"""Retrieval metrics, against figures that were worked out by hand."""

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document

from agentkit.errors import ConfigurationError, ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.metrics import (
    average_precision,
    hit_rate,
    mrr,
    ndcg,
    precision,
    recall,
)

NAMES = st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1)


def found(*names):
    return {"documents": [Document(name, id=name) for name in names]}


def wanting(documents):
    return Example("1", {"question": "?"}, {"documents": documents})


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        (recall(k=3), 2 / 3),
        (recall(), 1.0),
        (precision(k=3), 2 / 3),
        (precision(), 3 / 4),
        (mrr(), 1.0),
        (hit_rate(k=1), 1.0),
        (ndcg(k=3), (1 + 1 / math.log2(4)) / (1 + 1 / math.log2(3) + 1 / 2)),
        (average_precision(), (1 + 2 / 3 + 3 / 4) / 3),
        (average_precision(k=3), (1 + 2 / 3) / 3),
    ],
    ids=lambda given: getattr(given, "name", ""),
)
def test_the_figures_are_those_of_the_definitions(metric, value):
    score = metric(wanting(["a", "b", "c"]), found("a", "x", "b", "c"))
    assert score.value == pytest.approx(value)


def test_grades_count_for_ndcg_and_zero_is_not_relevant():
    example = wanting({"a": 1, "b": 3, "c": 0})
    best = 3 + 1 / math.log2(3)
    assert ndcg()(example, found("a", "b")).value == pytest.approx((1 + 3 / math.log2(3)) / best)
    assert recall()(example, found("b", "c")).value == 0.5


def test_without_a_k_what_was_not_found_counts_too():
    assert ndcg()(wanting(["a", "b"]), found("a")).value == pytest.approx(
        1 / (1 + 1 / math.log2(3))
    )
    assert average_precision()(wanting(["a", "b"]), found("a")).value == 0.5
    assert precision()(wanting(["a", "b"]), found("a")).value == 1


def test_one_document_may_be_expected_without_a_list():
    assert recall()(wanting("tea 字"), found("tea 字")).value == 1
    assert recall()(wanting("ab"), found("a", "b")).value == 0


def chunks(*sources):
    return {"documents": [Document(str(n), metadata={"source": s}) for n, s in enumerate(sources)]}


def test_documents_may_be_named_by_what_their_metadata_say():
    metric = recall(k=2, by="source")
    assert metric.name == "recall_by_source@2"
    output = chunks("a.md", "a.md", "b.md", "c.md")
    score = metric(wanting(["b.md", "c.md"]), output)
    assert (score.value, score.feedback) == (0.5, "Found b.md at rank 2. Not found: c.md.")
    assert mrr(by="source")(wanting("c.md"), output).value == pytest.approx(1 / 3)
    with pytest.raises(ScoringError, match="no 'page' in its metadata; it has source"):
        recall(by="page")(wanting(["1"]), output)
    with pytest.raises(ConfigurationError, match="`by` is the name of a metadata key; got 7"):
        recall(by=7)


def test_a_metric_is_equal_to_its_copy():
    copy = pickle.loads(pickle.dumps(recall(k=5)))
    assert copy == recall(k=5)
    assert copy != recall(k=6)
    assert copy(wanting(["a"]), found("a")).value == 1


def test_the_second_is_half():
    assert mrr()(wanting(["b"]), found("a", "b")).value == 0.5
    assert mrr(k=1)(wanting(["b"]), found("a", "b")).value == 0
    assert hit_rate(k=1)(wanting(["b"]), found("a", "b")).value == 0


def test_precision_at_k_is_of_k_though_fewer_were_found():
    assert precision(k=4)(wanting(["a"]), found("a")).value == 0.25


def test_a_document_twice_counts_once():
    assert recall(k=2)(wanting(["a", "b"]), found("a", "a", "b")).value == 1


def test_nothing_found_scores_nothing_and_says_what_is_missing():
    score = recall()(wanting(["a"]), found())
    assert (score.value, score.feedback) == (0.0, "Not found: a.")


def test_feedback_says_where_documents_are():
    feedback = recall(k=2)(wanting(["a", "b"]), found("x", "a", "b")).feedback
    assert feedback == "Found a at rank 2. Not found: b."


@given(wanted=NAMES, names=NAMES, k=st.integers(1, 9))
def test_every_score_is_from_0_to_1_and_recall_grows_with_k(wanted, names, k):
    example, output = wanting(wanted), found(*names)
    makers = (recall, precision, mrr, ndcg, average_precision, hit_rate)
    for metric in [make(k=n) for make in makers for n in (k, None)]:
        assert 0 <= metric(example, output).value <= 1
    assert recall(k=k)(example, output).value <= recall(k=k + 1)(example, output).value
    assert recall()(example, output).value == len({*wanted} & {*names}) / len(wanted)


@given(wanted=NAMES, names=NAMES)
def test_all_that_is_relevant_in_front_is_the_best_order(wanted, names):
    rest = [name for name in names if name not in wanted]
    for metric in (recall(), ndcg(), average_precision(), mrr(), hit_rate()):
        assert metric(wanting(wanted), found(*wanted, *rest)).value == pytest.approx(1)


@given(wanted=NAMES, names=NAMES)
def test_the_order_of_what_is_expected_does_not_matter(wanted, names):
    for metric in (recall(k=3), ndcg(k=3)):
        one = metric(wanting(wanted), found(*names)).value
        assert metric(wanting(wanted[::-1]), found(*names)).value == pytest.approx(one)


@pytest.mark.parametrize("k", [0, -1, 1.5, "3", True])
def test_a_k_that_is_none_is_refused(k):
    with pytest.raises(ConfigurationError, match="`k` is a whole number"):
        recall(k=k)


@pytest.mark.parametrize(
    ("example", "output", "told"),
    [
        (Example("1", {}, {"answer": "x"}), found("a"), "no expected 'documents'; it has answer"),
        (wanting([]), found("a"), "No document is relevant"),
        (wanting({"a": 0}), found("a"), "No document is relevant"),
        (wanting({"a": "much"}), found("a"), "whole numbers"),
        (wanting({"a": 0.5}), found("a"), "whole numbers"),
        (wanting({"a": float("nan")}), found("a"), "whole numbers"),
        (wanting({"a": float("inf")}), found("a"), "whole numbers"),
        (wanting(7), found("a"), "ids, or a mapping"),
        (wanting(["a"]), {"answer": "x"}, "The output has no 'documents'; it has answer"),
        (wanting(["a"]), {"documents": ["a"]}, "LangChain documents"),
        (wanting(["a"]), None, "a mapping; got NoneType"),
    ],
)
def test_what_cannot_be_measured_is_told(example, output, told):
    with pytest.raises(ScoringError, match=told):
        recall()(example, output)
