import copy
import itertools
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document

from agentkit.errors import ConfigurationError, InvalidInputError
from agentkit.retrieval import (
    distribution_score_fusion,
    document_id,
    reciprocal_rank_fusion,
    relative_score_fusion,
)

ALL = [reciprocal_rank_fusion, relative_score_fusion, distribution_score_fusion]
BY_SCORE = [relative_score_fusion, distribution_score_fusion]


def scored(name, score, content=None, **metadata):
    return Document(
        id=name,
        page_content=content or f"text of {name}",
        metadata={**metadata, "agentkit": {"score": score}},
    )


documents = st.builds(
    lambda name, content, score, source: Document(
        id=name,
        page_content=content,
        metadata={"source": source, "agentkit": {"score": score}},
    ),
    st.none() | st.sampled_from("abcde"),
    st.sampled_from(["one", "two", " two ", "three", ""]),
    st.floats(-1e9, 1e9),
    st.sampled_from(["x", "y"]),
)
rankings_with_weights = st.lists(
    st.tuples(st.lists(documents, max_size=6), st.floats(0, 10)), max_size=4
)


def merged(rankings):
    """The groups of documents that share ids or contents, found the slow way."""
    groups = []
    for document in itertools.chain(*rankings):
        keys = {document_id(document), ("content", document.page_content.strip())}
        joined = [group for group in groups if group & keys]
        groups = [group for group in groups if not group & keys]
        groups.append(keys.union(*joined))
    return groups


def shown(fused):
    return [(doc.id, doc.page_content, doc.metadata) for doc in fused]


def score(document):
    return document.metadata["agentkit"]["score"]


@pytest.mark.parametrize("fuse", ALL)
@given(data=rankings_with_weights, order=st.randoms(use_true_random=False))
def test_the_order_of_the_rankings_changes_nothing(fuse, data, order):
    shuffled = order.sample(data, len(data))
    one, other = (
        fuse([ranking for ranking, _ in pairs], weights=[weight for _, weight in pairs])
        for pairs in (data, shuffled)
    )
    assert shown(one) == shown(other)


@pytest.mark.parametrize("fuse", ALL)
@given(data=rankings_with_weights)
def test_no_two_documents_share_an_id_or_a_content_and_none_is_lost(fuse, data):
    rankings = [ranking for ranking, _ in data]
    fused = fuse(rankings)
    assert len({document.id for document in fused}) == len(fused)
    assert len({document.page_content.strip() for document in fused}) == len(fused)
    assert len(fused) == len(merged(rankings))


@pytest.mark.parametrize("fuse", ALL)
@given(data=rankings_with_weights)
def test_inputs_stay_as_they_are_and_metadata_is_kept(fuse, data):
    rankings = [ranking for ranking, _ in data]
    before = copy.deepcopy(rankings)
    fused = fuse(rankings)
    for document in fused:
        document.metadata["agentkit"]["mine"] = 1
    assert rankings == before
    owned = [{**d.metadata, "agentkit": None} for ranking in rankings for d in ranking]
    assert all({**document.metadata, "agentkit": None} in owned for document in fused)


@pytest.mark.parametrize("fuse", ALL)
@given(data=rankings_with_weights)
def test_scores_never_rise_and_ranks_count_from_one(fuse, data):
    fused = fuse([ranking for ranking, _ in data], weights=[weight for _, weight in data])
    assert all(score(a) >= score(b) for a, b in itertools.pairwise(fused))
    ranks = [document.metadata["agentkit"]["rank"] for document in fused]
    assert ranks == list(range(1, len(fused) + 1))


@pytest.mark.parametrize("fuse", ALL)
@given(data=rankings_with_weights)
def test_doubling_a_weight_is_listing_a_ranking_twice(fuse, data):
    rankings = [ranking for ranking, _ in data]
    doubled = fuse(rankings, weights=[2.0] * len(rankings))
    twice = fuse([*rankings, *rankings])
    assert [(d.id, score(d)) for d in doubled] == [(d.id, score(d)) for d in twice]


@pytest.mark.parametrize("fuse", ALL)
def test_a_ranking_of_weight_zero_adds_nothing_to_a_score(fuse):
    first = [scored("a", 3.0), scored("b", 2.0)]
    second = [scored("c", 9.0), scored("a", 1.0)]
    fused = {document.id: score(document) for document in fuse([first, second], weights=[1, 0])}
    alone = {document.id: score(document) for document in fuse([first])}
    assert fused == {**alone, "c": 0.0}


@pytest.mark.parametrize("fuse", ALL)
def test_nothing_fuses_to_nothing(fuse):
    assert fuse([]) == []
    assert fuse([[], []]) == []


@pytest.mark.parametrize("fuse", ALL)
def test_an_empty_ranking_changes_nothing(fuse):
    ranking = [scored("a", 2.0), scored("b", 1.0)]
    assert shown(fuse([ranking, []])) == shown(fuse([ranking]))


@pytest.mark.parametrize("fuse", ALL)
@pytest.mark.parametrize("weights", [[-1, 1], [math.nan, 1], [math.inf, 1], [1], [1, 1, 1], []])
def test_wrong_weights_are_refused(fuse, weights):
    with pytest.raises(ConfigurationError, match=r"[Ww]eights"):
        fuse([[scored("a", 1.0)], []], weights=weights)


def test_reciprocal_ranks_by_hand():
    fused = reciprocal_rank_fusion(
        [
            [Document("A", id="a"), Document("B", id="b")],
            [Document("B", id="b"), Document("C", id="c"), Document("A", id="a")],
        ]
    )
    assert [document.id for document in fused] == ["b", "a", "c"]
    expected = [1 / 62 + 1 / 61, 1 / 61 + 1 / 63, 1 / 62]
    assert [score(document) for document in fused] == pytest.approx(expected, abs=1e-15)
    assert [document.metadata["agentkit"]["found"] for document in fused] == [2, 2, 1]


def test_weights_and_k_of_reciprocal_ranks_by_hand():
    rankings = [[Document("A", id="a")], [Document("B", id="b"), Document("A", id="a")]]
    fused = reciprocal_rank_fusion(rankings, weights=[3, 0.5], k=0)
    assert {document.id: score(document) for document in fused} == {"a": 3.25, "b": 0.5}


@pytest.mark.parametrize("k", [-1, math.nan, math.inf])
def test_a_k_that_is_no_number_of_ranks_is_refused(k):
    with pytest.raises(ConfigurationError, match="k of reciprocal rank fusion"):
        reciprocal_rank_fusion([[Document("A")]], k=k)


def test_a_document_counts_once_a_ranking_at_its_best_place():
    copies = [Document("A", id="a"), Document("B", id="b"), Document("A", id="a")]
    fused = reciprocal_rank_fusion([[*copies, Document("C", id="c")]])
    found = [(document.id, score(document)) for document in fused]
    assert found == [("a", 1 / 61), ("b", 1 / 62), ("c", 1 / 63)]


def test_documents_without_ids_are_merged_by_content():
    one = Document("the same  text", metadata={"source": "x"})
    other = Document(" the same text\n", metadata={"source": "y"})
    fused = reciprocal_rank_fusion([[one], [other]])
    assert len(fused) == 1
    assert fused[0].metadata["agentkit"]["found"] == 2
    assert fused[0].metadata["source"] in ("x", "y")


def test_two_contents_of_one_id_join_with_what_shares_either():
    ranking = [Document("old", id="a"), Document("new", id="a")]
    fused = reciprocal_rank_fusion([ranking, [Document("new", id="b")], [Document("old", id="c")]])
    assert [(document.id, document.metadata["agentkit"]["found"]) for document in fused] == [
        ("a", 3)
    ]


def test_equal_scores_are_ordered_by_id():
    rankings = [[Document(name, id=name)] for name in "cab"]
    assert [document.id for document in reciprocal_rank_fusion(rankings)] == ["a", "b", "c"]


def test_relative_scores_by_hand():
    first = [scored("a", 10.0), scored("b", 4.0), scored("c", 2.0)]
    second = [scored("b", 0.9), scored("d", 0.8)]
    fused = relative_score_fusion([first, second], weights=[1, 2])
    expected = {"b": 0.25 + 2.0, "a": 1.0, "c": 0.0, "d": 0.0}
    assert {document.id: score(document) for document in fused} == pytest.approx(expected)


def test_equal_relative_scores_count_one_each():
    fused = relative_score_fusion([[scored("a", 5.0), scored("b", 5.0)], [scored("c", -1.0)]])
    assert [score(document) for document in fused] == [1.0, 1.0, 1.0]


def test_distribution_scores_by_hand():
    values = {"a": 3.0, "b": 2.0, "c": 1.0}
    deviation = statistics.pstdev(values.values())
    fused = distribution_score_fusion([[scored(name, value) for name, value in values.items()]])
    expected = {
        name: (value - (2.0 - 3 * deviation)) / (6 * deviation) for name, value in values.items()
    }
    assert {document.id: score(document) for document in fused} == pytest.approx(expected)


def test_distribution_scores_are_cut_off_at_three_deviations():
    ranking = [scored(f"d{number}", 0.0) for number in range(99)]
    fused = distribution_score_fusion([[scored("far", 1000.0), *ranking]])
    assert fused[0].id == "far"
    assert score(fused[0]) == 1.0


def test_equal_scores_of_a_distribution_count_a_half_each():
    fused = distribution_score_fusion([[scored("a", 0.1), scored("b", 0.1), scored("c", 0.1)]])
    assert [score(document) for document in fused] == [0.5] * 3


@pytest.mark.parametrize("fuse", BY_SCORE)
@pytest.mark.parametrize("missing", [None, math.nan, math.inf, -math.inf])
def test_a_document_without_a_finite_score_is_refused_where_scores_count(fuse, missing):
    with pytest.raises(InvalidInputError, match=r"'b' has .*Reciprocal rank fusion needs none"):
        fuse([[scored("a", 1.0), scored("b", missing)]])


def test_five_rankings_of_a_thousand_documents_are_fused():
    rankings = [
        [scored(f"d{(number * step) % 1009}", 1.0 / number) for number in range(1, 1001)]
        for step in (1, 2, 3, 5, 7)
    ]
    for fuse in ALL:
        fused = fuse(rankings)
        assert len(fused) == len({document.id for ranking in rankings for document in ranking})
