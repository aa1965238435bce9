"""DSPy as it is used here, and as it is elsewhere in the same process."""

import threading

import dspy
from dspy.evaluate import evaluate

from agentkit.optimization.restraint import restrained


def bootstrap():
    """Have DSPy report, by a bar and a line."""
    optimizer = dspy.BootstrapFewShot(metric=lambda *_: True, max_errors=9)
    trainset = [dspy.Example(a="It has no model.").with_inputs("a")]
    optimizer.compile(dspy.Predict("a -> b"), trainset=trainset)


def test_it_reports_nothing_where_it_is_restrained_and_as_ever_in_other_threads(capfd):
    with restrained():
        bootstrap()
        assert capfd.readouterr() == ("", "")
        other = threading.Thread(target=bootstrap)
        other.start()
        other.join()
    told = capfd.readouterr()
    assert "Bootstrapped 0 full traces" in told.out
    assert "1/1" in told.err

    bootstrap()
    assert capfd.readouterr().out == told.out


def test_it_begins_no_run_a_second_time_where_it_is_restrained():
    with restrained():
        assert evaluate.ParallelExecutor(num_threads=2).timeout == 0
    assert evaluate.ParallelExecutor(num_threads=2).timeout > 0
