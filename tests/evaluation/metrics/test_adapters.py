"""Metrics of Ragas and DeepEval, by stand-ins that have the shape of their classes."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
from langchain_core.documents import Document

from agentkit.errors import ConfigurationError, ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.metrics import from_deepeval, from_ragas
from agentkit.evaluation.scores import metric_name, scored

DOCUMENTS = [Document("Books may be kept for four weeks."), Document("Films for a week.")]
OUTPUT = {"answer": "Four weeks.", "documents": DOCUMENTS}


def wanting(**expected):
    return Example("1", {"question": "How long?"}, expected)


class Case(SimpleNamespace):
    """What both packages' cases are here: the fields that they were made with."""


class BaseMetric:
    """DeepEval's base class: it has an async way, which only raises."""

    score = None
    reason = None

    def measure(self, test_case, *args, **kwargs):
        raise NotImplementedError

    async def a_measure(self, test_case, *args, **kwargs):
        raise NotImplementedError("Please set 'async_mode' to 'False'.")

    @property
    def __name__(self):
        return "Base Metric"


class Result:
    """What Ragas's newer metrics return: a value, and the reason for it."""

    def __init__(self, value, reason=None):
        self.value, self.reason = value, reason


@pytest.fixture(autouse=True)
def packages(monkeypatch):
    """Stand-ins of the packages' modules: what the adapters use of them."""
    made = {name: ModuleType(name) for name in ("ragas", "deepeval", "deepeval.test_case")}
    made["deepeval.metrics"] = ModuleType("deepeval.metrics")
    made["ragas"].SingleTurnSample = made["deepeval.test_case"].LLMTestCase = Case
    made["deepeval.metrics"].BaseMetric = BaseMetric
    for name, module in made.items():
        module.__spec__ = SimpleNamespace(name=name)
        monkeypatch.setitem(sys.modules, name, module)


# -- Ragas -----------------------------------------------------------------------------------------


async def test_a_metric_of_ragas_is_given_a_sample():
    class Faithful:
        name = "faithful"

        async def single_turn_ascore(self, sample, callbacks=None):
            assert sample.retrieved_contexts == [each.page_content for each in DOCUMENTS]
            assert (sample.user_input, sample.response) == ("How long?", "Four weeks.")
            return float(sample.reference == "Four weeks")

        async def ascore(self, row, callbacks=None):
            raise AssertionError("This is deprecated.")

    metric = from_ragas(Faithful())
    assert metric_name(metric) == "ragas_faithful"
    assert (await scored(metric, wanting(answer=["Four weeks", "28 days"]), OUTPUT)).value == 1
    assert (await scored(metric, wanting(), OUTPUT)).value == 0


class Collected:
    """A metric as those of `ragas.metrics.collections` are."""

    name = "response_groundedness"

    async def ascore(self, response, retrieved_contexts, strict=False):
        assert not strict
        return Result(float(response in ["Four weeks."] and len(retrieved_contexts) == 2), "Since.")


async def test_a_newer_metric_of_ragas_is_given_what_it_takes_and_tells_its_reason():
    metric = from_ragas(Collected())
    assert metric_name(metric) == "ragas_response_groundedness"
    score = await scored(metric, wanting(answer="Four weeks"), OUTPUT)
    assert (score.value, score.feedback) == (1.0, "Since.")


@pytest.mark.parametrize(
    ("output", "missing", "there"),
    [
        ({"answer": "x"}, "retrieved_contexts", "user_input, response"),
        ({"documents": DOCUMENTS}, "response", "user_input, retrieved_contexts"),
        ({}, "response, retrieved_contexts", "user_input"),
    ],
)
async def test_what_a_newer_metric_of_ragas_lacks_is_named(output, missing, there):
    with pytest.raises(ScoringError) as told:
        await scored(from_ragas(Collected()), wanting(), output)
    assert str(told.value) == (
        f"ragas_response_groundedness needs {missing}; of the example and the output there are "
        f"{there}."
    )


async def test_a_metric_of_ragas_made_of_a_function_is_given_all_that_there_is():
    class Short:
        name = "Short  answer!"

        async def ascore(self, **given):
            assert set(given) == {"user_input", "response", "retrieved_contexts"}
            return Result(True)

    metric = from_ragas(Short())
    assert metric_name(metric) == "ragas_short_answer"
    assert (await scored(metric, wanting(), OUTPUT)).value == 1


@pytest.mark.parametrize("value", [float("nan"), None, "good", Result(None), Result("pass")])
async def test_a_score_of_ragas_that_is_none_is_told(value):
    class Odd:
        async def single_turn_ascore(self, sample):
            return value

    with pytest.raises(ScoringError, match="ragas_odd gave"):
        await scored(from_ragas(Odd()), wanting(), OUTPUT)


@pytest.mark.parametrize("metric", [object(), Collected, None])
def test_what_is_no_metric_of_ragas_is_refused(metric):
    with pytest.raises(ConfigurationError, match="single-turn metric of Ragas"):
        from_ragas(metric)


# -- DeepEval --------------------------------------------------------------------------------------


class Sync(BaseMetric):
    """A metric of a user's that only measures in the sync way."""

    def measure(self, test_case, *args, **kwargs):
        self.score = float(test_case.actual_output == "Four weeks.")
        self.reason = f"It was asked {test_case.input}"

    @property
    def __name__(self):
        return "Exact Match"


class Async(Sync):
    """A metric as DeepEval's own are, which draw a bar of their progress."""

    async def a_measure(self, test_case, _show_indicator=True, _in_component=False):
        assert not _show_indicator
        assert test_case.retrieval_context == [each.page_content for each in DOCUMENTS]
        assert test_case.expected_output == "Four weeks"
        Sync.measure(self, test_case)

    def measure(self, test_case, _show_indicator=True, _in_component=False):
        raise AssertionError("The async way is there.")


@pytest.mark.parametrize("made", [Sync(), Async()], ids=["sync", "async"])
async def test_a_metric_of_deepeval_is_given_a_case_and_tells_its_reason(made):
    metric = from_deepeval(made)
    assert metric_name(metric) == "deepeval_exact_match"
    score = await scored(metric, wanting(answer="Four weeks"), OUTPUT)
    assert (score.value, score.feedback) == (1.0, "It was asked How long?")
    assert made.score is None  # scored at once with others, it would hold another's score


async def test_a_metric_of_deepeval_that_gives_no_score_is_told():
    class Skips(Sync):
        def measure(self, test_case, *args, **kwargs):
            self.score = None

    with pytest.raises(ScoringError, match="deepeval_exact_match gave None"):
        await scored(from_deepeval(Skips()), wanting(), OUTPUT)


async def test_what_a_metric_of_deepeval_raises_is_told():
    class Fails(Sync):
        async def a_measure(self, test_case, *args, **kwargs):
            raise NotImplementedError("No such model.")

    with pytest.raises(ScoringError, match=r"deepeval_exact_match raised .*No such model\."):
        await scored(from_deepeval(Fails()), wanting(), OUTPUT)


@pytest.mark.parametrize("metric", [object(), Sync, None])
def test_what_is_no_metric_of_deepeval_is_refused(metric):
    with pytest.raises(ConfigurationError, match="metric of DeepEval"):
        from_deepeval(metric)


@pytest.mark.parametrize(("adapt", "name"), [(from_ragas, "ragas"), (from_deepeval, "deepeval")])
def test_a_package_that_is_missing_is_named(monkeypatch, adapt, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError, match=f"Install it with: pip install {name}"):
        adapt(Sync())
