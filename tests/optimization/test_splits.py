"""Dividing examples in three, of which no two ask the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.errors import ConfigurationError, DatasetError
from agentkit.evaluation.datasets import leaks
from agentkit.optimization.splits import divided


def rows(*questions):
    return [{"question": question, "answer": question.upper()} for question in questions]


def numbered(count, word="Number"):
    return rows(*(f"{word} {n}?" for n in range(count)))


def questions(examples):
    return [example.question for example in examples]


class TestDivided:
    @given(st.integers(8, 60), st.integers(0, 5))
    def test_every_example_is_in_one_set(self, count, seed):
        splits = divided(numbered(count), seed=seed)

        every = [*splits.train, *splits.validation, *splits.test]
        assert sorted(questions(every)) == sorted(row["question"] for row in numbered(count))
        assert not leaks(splits.train, [*splits.validation, *splits.test])
        assert len({example.id for example in every}) == count
        assert splits.notes == ()

    def test_the_shares_are_proportions(self):
        splits = divided(numbered(20), shares=(1, 1, 2))

        assert [len(each) for each in (splits.train, splits.validation, splits.test)] == [5, 5, 10]

    def test_a_set_that_is_given_is_not_taken_from_the_dataset(self):
        splits = divided(numbered(9), test=numbered(4, "Other"), shares=(2, 1, 1))

        assert [len(each) for each in (splits.train, splits.validation)] == [6, 3]
        assert questions(splits.test) == [f"Other {n}?" for n in range(4)]

    @given(st.integers(0, 5))
    def test_the_seed_says_which(self, seed):
        one, other = (divided(numbered(20), seed=seed) for _ in range(2))

        assert one == other
        assert one.fingerprint == other.fingerprint != divided(numbered(21), seed=seed).fingerprint


class TestTheSameTwice:
    def test_within_a_set_counts_once_and_is_told(self):
        splits = divided(rows("A?", "b?", "B ?", "c?", "a"), shares=(1, 1, 1))

        assert len([*splits.train, *splits.validation, *splits.test]) == 3
        assert splits.notes == (
            "2 examples ask the same as an earlier one and were left out, the first of them 3.",
        )

    def test_in_two_sets_is_left_to_the_later_and_told(self):
        splits = divided(
            numbered(6), validation=rows("Number 0?", "x?", "y?"), test=rows("number 1", "X?")
        )

        assert questions(splits.train) == [f"Number {n}?" for n in range(2, 6)]
        assert questions(splits.validation) == ["Number 0?", "y?"]
        assert questions(splits.test) == ["number 1", "X?"]
        assert splits.notes == (
            "1 validation examples are in a set after it, too, and were left out.",
            "2 training examples are in a set after it, too, and were left out.",
        )

    def test_rows_of_different_files_that_have_one_number_are_told_apart(self):
        splits = divided(numbered(2), validation=numbered(2, "V"), test=numbered(2, "T"))

        names = [example.id for example in (*splits.train, *splits.validation, *splits.test)]
        assert names == ["1", "2", "validation 1", "validation 2", "test 1", "test 2"]


class TestBadInput:
    @pytest.mark.parametrize("count", [1, 2])
    def test_too_few(self, count):
        with pytest.raises(DatasetError, match=rf"{count} examples make .* at least one"):
            divided(numbered(count))

    def test_all_the_same(self):
        with pytest.raises(DatasetError, match="1 examples make"):
            divided(rows(*["Again?"] * 20))

    def test_what_is_all_held_out(self):
        with pytest.raises(DatasetError, match="make 0 to learn from"):
            divided(numbered(3), validation=numbered(1, "V"), test=numbered(3))

    def test_a_row_that_asks_nothing(self):
        with pytest.raises(DatasetError, match="Row 2: there is no question"):
            divided([*numbered(1), {"answer": "42"}])

    @pytest.mark.parametrize(
        "shares", [(1, 1), (0, 1, 1), (-1, 1, 1), (float("nan"), 1, 1), (float("inf"), 1, 1)]
    )
    def test_shares_that_are_none(self, shares):
        with pytest.raises(ConfigurationError, match="shares= are three numbers"):
            divided(numbered(9), shares=shares)
