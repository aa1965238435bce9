"""GEPA by itself: instructions evolved by reflection, with no DSPy installed.

Agrawal et al. 2025, "GEPA: Reflective Prompt Evolution Can Outperform Reinforcement Learning".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.language_models import BaseChatModel

from agentkit._sync import run_sync
from agentkit.errors import ConfigurationError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.scores import Score
from agentkit.optimization.running import GraphRun
from agentkit.optimization.scoring import feedback_for, scores_of
from agentkit.optimization.task import Optimizer, Task
from agentkit.prompts import PromptSet, PromptText, as_text

PERFECT = 1.0
"""The mean score on the validation examples at which GEPA has nothing more to look for."""

_PER_VALIDATION = 12
_AT_LEAST = 60


@dataclass(frozen=True)
class _Trajectory:
    example: Example
    run: GraphRun
    score: Score


def gepa_runs(train: int, validation: int, settings: Mapping[str, Any]) -> int:  # noqa: ARG001
    """About how many runs of the graph GEPA takes."""
    given = settings.get("max_metric_calls")
    return int(given) if given else max(_AT_LEAST, _PER_VALIDATION * validation)


def reflected(task: Task) -> PromptSet:
    """Tune instructions by GEPA alone."""
    from gepa.api import optimize
    from gepa.utils import ScoreThresholdStopper

    if task.writer is None:
        raise ConfigurationError("The optimiser was given no model that writes instructions.")
    writer = task.calls.of(task.writer)
    result: Any = optimize(
        seed_candidate={name: task.start[name].instructions for name in task.tuned},
        trainset=list(task.train),
        valset=list(task.validation),
        adapter=cast("Any", _GraphAdapter(task)),  # a protocol with optional parts
        reflection_lm=lambda asked: _written(task, writer, asked),
        module_selector=ReachedPrompts(lambda trajectory: _reached(trajectory.run)),
        reflection_minibatch_size=task.settings["reflection_minibatch_size"],
        max_metric_calls=task.affordable(
            gepa_runs(len(task.train), len(task.validation), task.settings)
        ),
        stop_callbacks=ScoreThresholdStopper(PERFECT),
        seed=task.seed,
        logger=_Silent(),
    )
    return _with_instructions(task, result.best_candidate)


class ReachedPrompts:
    """Chooses in turn, for GEPA to improve, a prompt that the runs looked at have reached.

    Args:
        names: The names of the prompts that a trajectory reached.
    """

    def __init__(self, names: Callable[[Any], set[str]]) -> None:
        self._names = names
        self._turn: dict[int, int] = {}

    def __call__(
        self,
        state: Any,  # noqa: ARG002 - the rest is GEPA's protocol
        trajectories: list[Any],
        subsample_scores: list[float],  # noqa: ARG002
        candidate_idx: int,
        candidate: dict[str, str],
    ) -> list[str]:
        """The prompt to improve."""
        reached = {name for trajectory in trajectories for name in self._names(trajectory)}
        names = [name for name in candidate if name in reached] or list(candidate)
        turn = self._turn.get(candidate_idx, 0)
        self._turn[candidate_idx] = turn + 1
        return [names[turn % len(names)]]


class _GraphAdapter:
    """What GEPA asks of the system that it improves."""

    propose_new_texts = None

    def __init__(self, task: Task) -> None:
        self._task = task

    def evaluate(
        self, batch: Sequence[Example], candidate: dict[str, str], capture_traces: bool = False
    ) -> Any:
        """Run the graph on examples under a candidate's instructions."""
        from gepa.core.adapter import EvaluationBatch

        texts = _with_instructions(self._task, candidate)
        results = self._results(batch, texts)
        trajectories = [
            _Trajectory(example, run, score)
            for example, (run, score) in zip(batch, results, strict=True)
        ]
        return EvaluationBatch(
            outputs=[run.output for run, _ in results],
            scores=[score.value for _, score in results],
            trajectories=trajectories if capture_traces else None,
        )

    def make_reflective_dataset(
        self,
        candidate: dict[str, str],  # noqa: ARG002 - GEPA's protocol
        eval_batch: Any,
        components_to_update: list[str],
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """What each prompt was asked and replied, and what was made of it."""
        return {
            name: [
                record
                for trajectory in eval_batch.trajectories
                for record in _records(name, trajectory)
            ]
            for name in components_to_update
        }

    def _results(self, batch: Sequence[Example], texts: PromptSet) -> list[tuple[GraphRun, Score]]:
        task, most = self._task, self._task.max_prompt_chars
        long = [n for n in task.tuned if most and len(texts[n].instructions) > most]
        if long:
            told = Score(
                0.0, f"The instructions of {', '.join(long)} are over {most:,} characters."
            )
            return [(GraphRun({}, (), texts=texts), told)] * len(batch)
        with task.gate.open():
            return run_sync(
                lambda: scores_of(
                    task.graph, texts, batch, task.scorer, concurrency=task.concurrency
                )
            )


class _Silent:
    def log(self, message: str) -> None:
        """Nothing: what GEPA did is in the result."""


def _records(name: str, trajectory: _Trajectory) -> list[dict[str, Any]]:
    calls = [call for call in trajectory.run.calls if call.name == name]
    feedback = feedback_for(name, trajectory.example, trajectory.run, trajectory.score)
    return [
        {
            "Inputs": {key: as_text(value) for key, value in call.inputs.items()},
            "Generated Outputs": {key: as_text(value) for key, value in call.outputs.items()}
            or call.error,
            "Feedback": feedback,
        }
        for call in calls[-1:]
    ]


def _reached(run: GraphRun) -> set[str]:
    return {call.name for call in run.calls}


def _with_instructions(task: Task, candidate: Mapping[str, str]) -> PromptSet:
    changed = {
        name: PromptText(instructions, task.start[name].demos)
        for name, instructions in candidate.items()
    }
    return task.start | PromptSet(changed)


def _written(task: Task, writer: BaseChatModel, asked: Any) -> str:
    """What the writing model replies to GEPA."""
    with task.gate.open(), task.calls.writing():
        reply = run_sync(lambda: writer.ainvoke(asked))
    return str(reply.text)


GEPA_LIGHT = Optimizer(
    run=reflected,
    runs=gepa_runs,
    settings={"max_metric_calls": None, "reflection_minibatch_size": 3},
    writes=True,
    needs="gepa",
)
