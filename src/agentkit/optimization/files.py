"""Putting a saved prompt set to use, and taking it back."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentkit.errors import ConfigurationError
from agentkit.prompts import OnMismatch, Prompt, PromptSet


def apply_prompts(
    source: str | Path,
    target: str | Path,
    *,
    known: Mapping[str, Prompt[Any]] | None = None,
    on_mismatch: OnMismatch = "error",
) -> Path | None:
    """Make a saved prompt set the one that an app loads, and keep the one before.

    Args:
        source: The file to use.
        target: The file that the app loads.
        known: The prompts of the graph as its code declares them, to check the set against.
        on_mismatch: What to do where they are worded otherwise than when the set was tuned.

    Returns:
        Where the set before is kept; None where there was none.

    Raises:
        ConfigurationError: When the source is no prompt set, or nothing can be written.
        UnknownPromptError: When the graph lacks one of its prompts.
        PromptMismatchError: When it was tuned for other prompts.
    """
    prompts = PromptSet.load(source, on_mismatch=on_mismatch)
    if known is not None:
        prompts.check(known)
    place = Path(target)
    kept = None
    if place.exists():
        PromptSet.load(place)  # what is no prompt set is not overwritten
        history = _history(place)
        number = max((int(file.stem) for file in history.glob("*.json")), default=0) + 1
        kept = history / f"{number:04}.json"
        try:
            history.mkdir(exist_ok=True)
            shutil.copy2(place, kept)
        except OSError as error:
            raise ConfigurationError(f"{place} cannot be kept in {history}: {error}") from error
    prompts.save(place)
    return kept


def roll_back_prompts(target: str | Path) -> Path:
    """Put back the prompt set that was there before the last `apply_prompts`.

    Args:
        target: The file that the app loads.

    Returns:
        The file of the history that was put back, which is gone from there.

    Raises:
        ConfigurationError: When there is none.
    """
    place = Path(target)
    kept = sorted(_history(place).glob("*.json"))
    if not kept:
        raise ConfigurationError(f"There are no prompts from before in {_history(place)}.")
    PromptSet.load(kept[-1])
    try:
        kept[-1].replace(place)
    except OSError as error:
        raise ConfigurationError(f"{kept[-1]} cannot be put back: {error}") from error
    return kept[-1]


def _history(target: Path) -> Path:
    return target.with_name(f"{target.name}.history")
