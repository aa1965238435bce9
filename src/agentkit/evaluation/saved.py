"""Reports as JSON files: how they are written, and read again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agentkit import _files
from agentkit._text import shortened
from agentkit.errors import ConfigurationError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.report import Report
from agentkit.evaluation.results import GraphRun, Item, Step, Trial
from agentkit.evaluation.scores import Score
from agentkit.evaluation.usage import ModelUsage, Usage
from agentkit.tools.documents import plain

_FORMAT = "agentkit.report"
_FORMAT_VERSION = 1


def report_json(report: Report) -> str:
    """A report as JSON, its figures too."""
    told = {
        "format": _FORMAT,
        "format_version": _FORMAT_VERSION,
        "name": report.name,
        "made": report.made,
        "version": report.version,
        "metrics": list(report.metrics),
        "examples": report.examples,
        "repeats": report.repeats,
        "passing": report.passing,
        "seed": report.seed,
        "seconds": report.seconds,
        "stopped": report.stopped,
        "notes": list(report.notes),
        "prices": report.prices,
        "figures": report.figures,
        "spent": _usage_data(report.spent),
        "items": [_item_data(item) for item in report.items],
    }
    return json.dumps(told, ensure_ascii=False, indent=1) + "\n"


def read_report(path: str | Path) -> Report:
    """Read a report.

    Raises:
        ConfigurationError: When the file is missing, is no report, or is of a newer format.
    """
    try:
        told = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"No report can be read from {path}: {error}.") from error
    if not isinstance(told, dict) or told.get("format") != _FORMAT:
        raise ConfigurationError(f"{path} is not a report saved by agentkit.")
    version = told.get("format_version")
    if version != _FORMAT_VERSION:
        raise ConfigurationError(
            f"{path} has report format {version!r}; this agentkit reads format "
            f"{_FORMAT_VERSION}. A newer agentkit may read it."
        )
    try:
        return _read(told)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"{path} is a damaged report: {type(error).__name__}: {error}."
        ) from error


def write_whole(path: str | Path, text: str) -> None:
    """Write a text file, all or nothing.

    Raises:
        ConfigurationError: When it cannot be written.
    """
    try:
        _files.write_whole(path, text.encode("utf-8", "replace"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error}.") from error


def _usage_data(usage: Usage) -> dict[str, dict[str, int]]:
    return {name: asdict(took) for name, took in usage.models.items()}


def _item_data(item: Item) -> dict[str, Any]:
    example = item.example
    return {
        "id": example.id,
        "inputs": plain_state(example.inputs),
        "expected": plain_state(example.expected),
        "runs": [
            {
                "output": plain_state(trial.run.output),
                "error": trial.run.error,
                "seconds": trial.run.seconds,
                "kept": trial.run.kept,
                "usage": _usage_data(trial.run.usage),
                "steps": [asdict(step) for step in trial.run.steps],
                "scores": {name: asdict(score) for name, score in trial.scores.items()},
                "unscored": dict(trial.unscored),
                "judging": _usage_data(trial.judging),
            }
            for trial in item.trials
        ],
    }


def _read(told: Mapping[str, Any]) -> Report:
    prices = told["prices"]
    return Report(
        name=str(told["name"]),
        metrics=tuple(told["metrics"]),
        items=tuple(_read_item(each) for each in told["items"]),
        examples=int(told["examples"]),
        repeats=int(told["repeats"]),
        passing=float(told["passing"]),
        seed=int(told["seed"]),
        prices=None if prices is None else {name: tuple(each) for name, each in prices.items()},
        spent=_read_usage(told["spent"]),
        stopped=str(told["stopped"]),
        notes=tuple(map(str, told["notes"])),
        seconds=float(told["seconds"]),
        made=str(told["made"]),
        version=str(told["version"]),
    )


def _read_item(told: Mapping[str, Any]) -> Item:
    example = Example(str(told["id"]), dict(told["inputs"]), dict(told["expected"]))
    return Item(example, tuple(_read_trial(each) for each in told["runs"]))


def _read_trial(told: Mapping[str, Any]) -> Trial:
    run = GraphRun(
        output=dict(told["output"]),
        error=str(told["error"]),
        seconds=float(told["seconds"]),
        usage=_read_usage(told["usage"]),
        steps=tuple(Step(**each) for each in told["steps"]),
        kept=bool(told["kept"]),
    )
    scores = {
        name: Score(float(each["value"]), str(each["feedback"]))
        for name, each in told["scores"].items()
    }
    return Trial(run, scores, dict(told["unscored"]), _read_usage(told["judging"]))


def _read_usage(told: Mapping[str, Mapping[str, int]]) -> Usage:
    return Usage({name: ModelUsage(**took) for name, took in told.items()})


def plain_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state as JSON can hold it; a value that cannot be written so, as what it looks like."""
    told = {}
    for name, value in state.items():
        try:
            told[str(name)] = plain(value)
        except (ValueError, RecursionError):  # it holds itself
            told[str(name)] = shortened(repr(value), 2_000)
    return told
