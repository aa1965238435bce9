"""Errors survive being sent between processes, and keep the bases that users catch."""

import copy
import inspect
import pickle

import pytest

from agentkit import errors
from agentkit.errors import AgentkitError, MissingExtraError, UnknownPromptError

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_can_be_copied_and_pickled(kind):
    arguments = ("Index", "index") if kind is MissingExtraError else ("What to do.",)
    error = kind(*arguments)
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is kind
        assert str(again) == str(error)
        assert vars(again) == vars(error)
    assert isinstance(error, AgentkitError)


def test_a_missing_extra_says_how_to_install_it():
    error = MissingExtraError("Index", "index")
    assert "Index needs" in str(error)
    assert "pip install 'agentkit-graphs[index]'" in str(error)
    assert isinstance(error, ImportError)


def test_an_unknown_prompt_is_told_without_the_quotes_of_a_key_error():
    assert str(UnknownPromptError("There is no prompt.")) == "There is no prompt."
