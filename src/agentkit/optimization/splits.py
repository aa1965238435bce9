"""The examples of an optimisation, divided: to learn from, to choose by, and to prove on."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentkit.errors import ConfigurationError, DatasetError
from agentkit.evaluation.datasets import duplicates, leaks, load_dataset, split
from agentkit.evaluation.examples import Example

FEW = 10
"""Held-out examples below which hardly a change can be shown."""


@dataclass(frozen=True)
class Splits:
    """Three sets of examples, no two of which ask the same.

    Args:
        train: To learn from.
        validation: To choose by.
        test: To prove on: what nothing is learnt from.
        notes: What was left out, and why.
    """

    train: Sequence[Example]
    validation: Sequence[Example]
    test: Sequence[Example]
    notes: Sequence[str] = ()

    @property
    def fingerprint(self) -> str:
        """A hash of all that is asked and expected."""
        rows = [
            [each.id, each.inputs, each.expected]
            for part in (self.train, self.validation, self.test)
            for each in part
        ]
        told = json.dumps(rows, sort_keys=True, default=repr)
        return hashlib.sha256(told.encode()).hexdigest()[:16]


def divided(
    dataset: Any,
    *,
    validation: Any = None,
    test: Any = None,
    shares: Sequence[float] = (0.5, 0.25, 0.25),
    seed: int = 0,
) -> Splits:
    """Divide a dataset in three; validation and test may be given as datasets of their own.

    An example that asks the same as an earlier one of its set is left out, for it proves nothing
    twice; so is one that is in a later set, too, which then would be no proof.

    Args:
        dataset: Examples, in any form that `load_dataset` takes.
        validation: Examples to choose by; None to take them from the dataset.
        test: Examples to prove on; None to take them from the dataset.
        shares: How much of the dataset is for each set, in proportion.
        seed: Of the division.

    Raises:
        ConfigurationError: When the shares are no three numbers of 0 and above.
        DatasetError: When a set would be empty, or a dataset cannot be read.
    """
    notes: list[str] = []
    examples = _each_once("", dataset, notes)
    chosen = None if validation is None else _each_once("validation ", validation, notes)
    proving = None if test is None else _each_once("test ", test, notes)
    parts = split(examples, _shares(shares, chosen is None, proving is None), seed=seed)
    train = parts[0]
    chosen = parts[1] if chosen is None else chosen
    proving = parts[2] if proving is None else proving
    chosen = _unseen("validation", chosen, proving, notes)
    train = _unseen("training", train, [*chosen, *proving], notes)
    if not (train and chosen and proving):
        raise DatasetError(
            f"{len(examples)} examples make {len(train)} to learn from, {len(chosen)} to choose by "
            f"and {len(proving)} to prove on; each needs at least one, and {FEW} or more are "
            "needed to show anything."
        )
    return Splits(train, *_told_apart(train, chosen, proving), tuple(notes))


def _shares(shares: Sequence[float], chooses: bool, proves: bool) -> tuple[float, float, float]:
    """The shares of the sets that are taken from the dataset, with the sum 1."""
    if len(shares) != 3 or not all(0 <= share < math.inf for share in shares) or not shares[0] > 0:  # noqa: PLR2004
        raise ConfigurationError(
            "shares= are three numbers: for what is learnt from, chosen by and proved on, such as "
            f"(0.5, 0.25, 0.25); got {shares!r}."
        )
    first, second, third = shares
    taken = (first, second if chooses else 0.0, third if proves else 0.0)
    whole = sum(taken)
    return taken[0] / whole, taken[1] / whole, taken[2] / whole


def _each_once(name: str, dataset: Any, notes: list[str]) -> list[Example]:
    """The examples of a dataset, the first of those that ask the same."""
    examples = load_dataset(dataset)
    again = {each.id for group in duplicates(examples) for each in group[1:]}
    if again:
        notes.append(
            f"{len(again)} {name}examples ask the same as an earlier one and were left out, the "
            f"first of them {next(each.id for each in examples if each.id in again)}."
        )
    return [each for each in examples if each.id not in again]


def _unseen(
    name: str, examples: Sequence[Example], later: Sequence[Example], notes: list[str]
) -> list[Example]:
    """The examples that ask nothing that a later set asks, too."""
    leaked = {example.id for example, _ in leaks(examples, later)}
    if leaked:
        notes.append(
            f"{len(leaked)} {name} examples are in a set after it, too, and were left out."
        )
    return [example for example in examples if example.id not in leaked]


def _told_apart(
    train: Sequence[Example], validation: Sequence[Example], test: Sequence[Example]
) -> tuple[list[Example], list[Example]]:
    """The later two sets, under other names where two rows of different files have one."""
    taken = {example.id for example in train}
    parts: list[list[Example]] = []
    for name, part in (("validation", validation), ("test", test)):
        parts.append([])
        for example in part:
            unique = example.id
            while unique in taken:
                unique = f"{name} {unique}"
            taken.add(unique)
            parts[-1].append(replace(example, id=unique))
    return parts[0], parts[1]
