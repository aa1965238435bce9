"""Numbers that options take: what is refused, and in which words."""

import pytest

from agentkit._numbers import above_zero, whole_number
from agentkit.errors import ConfigurationError


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "3", None, float("nan")])
def test_what_is_no_whole_number_that_is_large_enough_is_refused(value):
    with pytest.raises(ConfigurationError, match=r"^`k` is a whole number, 1 or more; got "):
        whole_number("k", value)


@pytest.mark.parametrize("value", [0, -0.5, float("nan"), True, "3", None])
def test_what_is_no_number_above_0_is_refused(value):
    with pytest.raises(ConfigurationError, match=r"^`wait` is a number of seconds above 0; got "):
        above_zero("wait", value, unit="seconds")


def test_what_is_large_enough_is_handed_on():
    assert whole_number("k", 3) == 3
    assert whole_number("k", 0, least=0) == 0
    assert above_zero("weight", 0.5) == 0.5


def test_a_number_without_unit_is_called_a_number():
    with pytest.raises(ConfigurationError, match=r"^`weight` is a number above 0; got 0\.$"):
        above_zero("weight", 0)
