"""Words compared as a reader would compare them, in every script."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.retrieval.words import folded_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The “Iron”  Tower!", "the iron tower"),
        ("snake_case-words", "snake case words"),
        ("co\u00adope\u200brate", "cooperate"),
        ("STRASSE, Straße", "strasse strasse"),
        ("ﬁne", "fine"),
        ("I ❤️ it", "i it"),
        ("東京タワー", "東 京 タ ワ ー"),
        ("गाँव में दिन", "गाँव में दिन"),
        ("தமிழ் மொழி", "தமிழ் மொழி"),
        ("İstanbul", "istanbul"),
        ("", ""),
        ("…!", ""),
    ],
)
def test_words_have_one_form(text, words):
    assert folded_words(text) == words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("مُحَمَّد", "محمد"),
        ("محـــمد", "محمد"),
        ("שָׁלוֹם", "שלום"),
        ("cafe\u0301", "café"),
        ("ﷺ", "صلى الله عليه وسلم"),
    ],
)
def test_what_may_be_left_out_in_writing_makes_no_difference(one, other):
    assert folded_words(one) == folded_words(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("दिन", "दीन"),  # day, poor
        ("ก็", "ก"),
        ("না", "নি"),
        ("آب", "اب"),  # water is spelt with a madda
        ("resume", "résumé"),
    ],
)
def test_words_that_are_spelt_differently_are_different(one, other):
    assert folded_words(one) != folded_words(other)


@given(st.text())
def test_folding_twice_changes_nothing_and_leaves_single_spaces(text):
    folded = folded_words(text)
    assert folded == " ".join(folded.split())
    assert folded_words(folded) == folded


@given(st.text())
def test_the_form_in_which_accents_are_written_makes_no_difference(text):
    composed, apart = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert folded_words(composed) == folded_words(apart)
