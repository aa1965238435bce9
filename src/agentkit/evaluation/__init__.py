"""Measuring graphs on a user's data: datasets, metrics, runs, reports and ablation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit._lazy import lazy_names

if TYPE_CHECKING:
    from agentkit.evaluation.ablation import Ablation, Configuration, Effect, aablate, ablate
    from agentkit.evaluation.comparing import MetricChange, ReportComparison
    from agentkit.evaluation.configurations import Technique
    from agentkit.evaluation.datasets import duplicates, leaks, load_corpus, load_dataset, split
    from agentkit.evaluation.examples import Example
    from agentkit.evaluation.progress import Progress
    from agentkit.evaluation.report import Report
    from agentkit.evaluation.results import GraphRun, Item, Step, Trial
    from agentkit.evaluation.runner import aevaluate, evaluate
    from agentkit.evaluation.scores import Metric, Score
    from agentkit.evaluation.statistics import (
        Comparison,
        Interval,
        compared,
        holm,
        interval,
        pass_hat_k,
    )
    from agentkit.evaluation.usage import Budget, ModelUsage, Usage

__all__ = [
    "Ablation",
    "Budget",
    "Comparison",
    "Configuration",
    "Effect",
    "Example",
    "GraphRun",
    "Interval",
    "Item",
    "Metric",
    "MetricChange",
    "ModelUsage",
    "Progress",
    "Report",
    "ReportComparison",
    "Score",
    "Step",
    "Technique",
    "Trial",
    "Usage",
    "aablate",
    "ablate",
    "aevaluate",
    "compared",
    "duplicates",
    "evaluate",
    "holm",
    "interval",
    "leaks",
    "load_corpus",
    "load_dataset",
    "pass_hat_k",
    "split",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Ablation": "ablation",
        "Budget": "usage",
        "Comparison": "statistics",
        "Configuration": "ablation",
        "Effect": "ablation",
        "Example": "examples",
        "GraphRun": "results",
        "Interval": "statistics",
        "Item": "results",
        "Metric": "scores",
        "MetricChange": "comparing",
        "ModelUsage": "usage",
        "Progress": "progress",
        "Report": "report",
        "ReportComparison": "comparing",
        "Score": "scores",
        "Step": "results",
        "Technique": "configurations",
        "Trial": "results",
        "Usage": "usage",
        "aablate": "ablation",
        "ablate": "ablation",
        "aevaluate": "runner",
        "compared": "statistics",
        "duplicates": "datasets",
        "evaluate": "runner",
        "holm": "statistics",
        "interval": "statistics",
        "leaks": "datasets",
        "load_corpus": "datasets",
        "load_dataset": "datasets",
        "pass_hat_k": "statistics",
        "split": "datasets",
    },
)
