"""DSPy's optimisers, over a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agentkit.evaluation.examples import Example
from agentkit.evaluation.scores import Score
from agentkit.optimization._dspy import dspy
from agentkit.optimization.engines import ChatModelEngine, lm_of
from agentkit.optimization.light import PERFECT, ReachedPrompts, gepa_runs
from agentkit.optimization.program import GraphProgram, graph_run_of
from agentkit.optimization.restraint import restrained
from agentkit.optimization.scoring import feedback_for
from agentkit.optimization.task import Optimizer, Task
from agentkit.prompts import PromptSet

_NO_LABELLED = {"max_labeled_demos": 0}
"""An example of the data has no intermediate outputs, which a demo of an inner prompt needs."""

_GOLD = "example_id"
_MANY_ERRORS = 1_000_000
"""A run that fails is scored 0, so errors are no reason to stop."""


class _Work:
    """A task in DSPy's terms."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.program = GraphProgram(
            task.graph,
            freeze=[name for name in task.graph.prompts if name not in task.tuned],
            start=task.start,
            max_prompt_chars=task.max_prompt_chars,
            gate=task.gate,
        )
        self.writer = lm_of(ChatModelEngine(task.writer, task.calls), "agentkit/writer-of-prompts")
        self._examples = {each.id: each for each in (*task.train, *task.validation)}

    @property
    def train(self) -> list[dspy.Example]:
        """The training examples."""
        return [_as_dspy(example) for example in self.task.train]

    @property
    def validation(self) -> list[dspy.Example]:
        """The validation examples."""
        return [_as_dspy(example) for example in self.task.validation]

    def metric(self, gold: dspy.Example, prediction: Any, trace: Any = None) -> float:  # noqa: ARG002
        """The score of a prediction."""
        return self._score(gold, prediction).value

    def metric_with_feedback(
        self,
        gold: dspy.Example,
        prediction: Any,
        trace: Any = None,  # noqa: ARG002 - GEPA's protocol
        pred_name: str | None = None,
        pred_trace: Any = None,  # noqa: ARG002
    ) -> dspy.Prediction:
        """The score of a prediction, and what to tell of one prompt's part in it."""
        score = self._score(gold, prediction)
        example, run = self._examples[gold[_GOLD]], graph_run_of(prediction)
        told = feedback_for(pred_name or "", example, run, score)
        return dspy.Prediction(score=score.value, feedback=told)

    def compiled(self, compile: Callable[[], Any]) -> PromptSet:
        """The texts that an optimiser found."""
        settings: dict[str, Any] = {
            "lm": self.program.lm,
            "trace": None,
            "disable_history": True,
            "num_threads": self.task.concurrency,
            "max_errors": _MANY_ERRORS,
        }
        with restrained(), dspy.context(**settings):
            found: GraphProgram = compile()
        return found.texts()

    def _score(self, gold: dspy.Example, prediction: Any) -> Score:
        if prediction is None:
            return Score(0.0, "There is no answer.")
        known: Score | None = getattr(prediction, "_score", None)
        if known is not None:
            return known
        with self.task.gate.open():
            example = self._examples[gold[_GOLD]]
            score = self.task.scorer.score(example, graph_run_of(prediction))
        prediction._score = score  # the same run is scored once
        return score


def _as_dspy(example: Example) -> dspy.Example:
    told = {**example.inputs, "expected": dict(example.expected), _GOLD: example.id}
    return dspy.Example(**told).with_inputs(*example.inputs)


def bootstrapped(task: Task) -> PromptSet:
    """Demos from runs that scored well (Khattab et al. 2023)."""
    work, chosen = _Work(task), task.settings
    optimizer = dspy.BootstrapFewShot(
        metric=work.metric,
        metric_threshold=chosen["metric_threshold"],
        max_bootstrapped_demos=chosen["max_bootstrapped_demos"],
        max_rounds=chosen["max_rounds"],
        max_errors=_MANY_ERRORS,
        **_NO_LABELLED,
    )
    return work.compiled(lambda: optimizer.compile(work.program, trainset=work.train))


def randomly_searched(task: Task) -> PromptSet:
    """The best on the validation examples of several sets of such demos."""
    work, chosen = _Work(task), task.settings

    def compile() -> Any:
        optimizer = dspy.BootstrapFewShotWithRandomSearch(
            metric=work.metric,
            metric_threshold=chosen["metric_threshold"],
            max_bootstrapped_demos=chosen["max_bootstrapped_demos"],
            max_rounds=chosen["max_rounds"],
            num_candidate_programs=chosen["num_candidate_programs"],
            num_threads=task.concurrency,
            max_errors=_MANY_ERRORS,
            **_NO_LABELLED,
        )
        return optimizer.compile(work.program, trainset=work.train, valset=work.validation)

    return work.compiled(compile)


def proposed(task: Task) -> PromptSet:
    """Instructions and demos chosen together, by MIPROv2 (Opsahl-Ong et al. 2024)."""
    work, chosen = _Work(task), task.settings
    demos = chosen["max_bootstrapped_demos"]

    def compile() -> Any:
        optimizer = dspy.MIPROv2(
            metric=work.metric,
            prompt_model=work.writer,
            task_model=work.program.lm,
            auto=None,
            num_candidates=chosen["num_candidates"],
            max_bootstrapped_demos=demos,
            num_threads=task.concurrency,
            max_errors=_MANY_ERRORS,
            metric_threshold=chosen["metric_threshold"],
            seed=task.seed or 1,  # it takes 0 for none
            **_NO_LABELLED,
        )
        return optimizer.compile(
            work.program,
            trainset=work.train,
            valset=work.validation,
            num_trials=chosen["num_trials"],
            minibatch=False,
            program_aware_proposer=False,  # the program's code says nothing about the graph
        )

    return work.compiled(compile)


def evolved(task: Task) -> PromptSet:
    """Instructions evolved by reflection on feedback, by GEPA (Agrawal et al. 2025)."""
    from gepa.utils import ScoreThresholdStopper

    work, chosen = _Work(task), task.settings
    optimizer = dspy.GEPA(
        metric=work.metric_with_feedback,
        reflection_lm=work.writer,
        max_metric_calls=task.affordable(gepa_runs(len(task.train), len(task.validation), chosen)),
        reflection_minibatch_size=chosen["reflection_minibatch_size"],
        component_selector=ReachedPrompts(_reached),
        num_threads=task.concurrency,
        seed=task.seed,
        gepa_kwargs={"stop_callbacks": ScoreThresholdStopper(PERFECT)},
    )
    return work.compiled(
        lambda: optimizer.compile(work.program, trainset=work.train, valset=work.validation)
    )


def ascended(task: Task) -> PromptSet:
    """Demos and rules from the examples whose samples differ most, by SIMBA."""
    work, chosen = _Work(task), task.settings

    def compile() -> Any:
        optimizer = dspy.SIMBA(
            metric=work.metric,
            bsize=min(chosen["bsize"], len(task.train)),
            num_candidates=chosen["num_candidates"],
            max_steps=chosen["max_steps"],
            max_demos=chosen["max_demos"],
            prompt_model=work.writer,
            num_threads=task.concurrency,
        )
        return optimizer.compile(work.program, trainset=work.train, seed=task.seed)

    return work.compiled(compile)


def _reached(trajectory: Mapping[str, Any]) -> set[str]:
    prediction = trajectory["prediction"]
    if not isinstance(prediction, dspy.Prediction):
        return set()
    return {call.name for call in graph_run_of(prediction).calls}


OPTIMIZERS: Mapping[str, Optimizer] = {
    "bootstrap": Optimizer(
        run=bootstrapped,
        runs=lambda train, _, settings: train * settings["max_rounds"],
        settings={"max_bootstrapped_demos": 4, "max_rounds": 1, "metric_threshold": 1.0},
        writes=False,
    ),
    "random": Optimizer(
        run=randomly_searched,
        runs=lambda train, validation, settings: (
            (settings["num_candidate_programs"] + 2) * validation
            + (settings["num_candidate_programs"] + 1) * train * settings["max_rounds"]
        ),
        settings={
            "max_bootstrapped_demos": 4,
            "max_rounds": 1,
            "metric_threshold": 1.0,
            "num_candidate_programs": 6,
        },
        writes=False,
    ),
    "mipro": Optimizer(
        run=proposed,
        runs=lambda train, validation, settings: (
            (settings["num_trials"] + 1) * validation + settings["num_candidates"] * train
        ),
        settings={
            "max_bootstrapped_demos": 3,
            "metric_threshold": 1.0,
            "num_candidates": 6,
            "num_trials": 12,
        },
        writes=True,
        needs="optuna",
    ),
    "gepa": Optimizer(
        run=evolved,
        runs=gepa_runs,
        settings={"max_metric_calls": None, "reflection_minibatch_size": 3},
        writes=True,
    ),
    "simba": Optimizer(
        run=ascended,
        runs=lambda train, _, settings: (
            settings["max_steps"]
            * min(settings["bsize"], train)
            * (2 * settings["num_candidates"] + 1)
            + (settings["num_candidates"] + 1) * train
        ),
        settings={"bsize": 16, "max_demos": 4, "max_steps": 4, "num_candidates": 4},
        writes=True,
    ),
}
"""The optimisers of DSPy, by name."""
