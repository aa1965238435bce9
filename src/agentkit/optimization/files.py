"""Putting a saved prompt set to use, and taking it back."""

from __future__ import annotations

import re
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
        number = max(_versions(history), default=0) + 1
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
    versions = _versions(_history(place))
    if not versions:
        raise ConfigurationError(f"There are no prompts from before in {_history(place)}.")
    kept = versions[max(versions)]
    PromptSet.load(kept)
    try:
        kept.replace(place)
    except OSError as error:
        raise ConfigurationError(f"{kept} cannot be put back: {error}") from error
    return kept


def _history(target: Path) -> Path:
    return target.with_name(f"{target.name}.history")


def _versions(history: Path) -> dict[int, Path]:
    """The sets that are kept, by their numbers; other files in the folder are none of them."""
    files = history.glob("*.json")
    return {int(file.stem): file for file in files if re.fullmatch("[0-9]+", file.stem)}
