"""The configurations of an ablation: which of a factory's options are on in each."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from agentkit._text import shortened
from agentkit.errors import ConfigurationError

Options: TypeAlias = Mapping[str, Any]
"""By the factory's argument: its values, by name or in a list; or the one value that is on."""

_LONGEST = 60


@dataclass(frozen=True)
class Technique:
    """A value of an option that is not its plain one."""

    option: str
    label: str
    """What the value is called."""

    def __str__(self) -> str:
        return self.option if self.label.lower() == "true" else f"{self.option}={self.label}"


On: TypeAlias = frozenset[Technique]
"""The techniques that are on in a configuration: at most one of each option."""


class Space:
    """All that can be switched.

    Args:
        options: By the factory's argument, its values: a mapping from what they are called, or a
            list. None or False among them is the plain one, else it is the first. Anything else
            is the one value that is on, and the argument is left out where it is off.

    Raises:
        ConfigurationError: When there is no option, or one has nothing to be compared with.
    """

    def __init__(self, options: Options) -> None:
        if not isinstance(options, Mapping) or not options:
            raise ConfigurationError(
                "An ablation needs options, such as {'grade': [False, True]}: the factory's "
                f"arguments with their values; got {options!r}."
            )
        self._plain: dict[str, Any] = {}
        self._values: dict[Technique, Any] = {}
        for option, given in options.items():
            self._read(option, given)
        self.techniques = list(self._values)
        """In the order of the options."""

    def _read(self, option: str, given: Any) -> None:
        if not isinstance(given, Mapping | list | tuple):
            self._values[Technique(option, label_of(given))] = given
            return
        named = given if isinstance(given, Mapping) else labelled(option, given)
        if len(named) < 2:  # noqa: PLR2004 - the plain one and another
            raise ConfigurationError(
                f"The option {option!r} needs two values at least, of which the first, or None or "
                f"False, is the plain one; got {given!r}."
            )
        plain = next((label for label, value in named.items() if _is_off(value)), None)
        plain = next(iter(named)) if plain is None else plain
        self._plain[option] = named[plain]
        for label, value in named.items():
            if label != plain:
                self._values[Technique(option, str(label))] = value

    def arguments(self, on: On) -> dict[str, Any]:
        """What the factory is called with."""
        return {**self._plain, **{each.option: self._values[each] for each in on}}

    @property
    def full(self) -> On:
        """The first technique of every option."""
        first: dict[str, Technique] = {}
        for technique in self.techniques:
            first.setdefault(technique.option, technique)
        return frozenset(first.values())

    def one_at_a_time(self) -> list[On]:
        """The plain configuration, each technique alone, all together, and all without each."""
        plain: On = frozenset()
        alone = [frozenset([technique]) for technique in self.techniques]
        without = [self.full - {technique} for technique in self.techniques]
        return list(dict.fromkeys([plain, *alone, self.full, *without]))

    def combinations(self) -> list[On]:
        """All combinations, those with fewest techniques first."""
        by_option: dict[str, list[Technique | None]] = {}
        for technique in self.techniques:
            by_option.setdefault(technique.option, [None]).append(technique)
        chosen = itertools.product(*by_option.values())
        return sorted((frozenset(filter(None, each)) for each in chosen), key=len)

    def name(self, on: On) -> str:
        """What a configuration is called."""
        full = self.full
        if not on:
            return "plain"
        if on == full and len(full) > 1:
            return "full"
        left_out = full - on
        if on < full and len(left_out) == 1 and len(on) > 1:
            return f"full − {next(iter(left_out))}"
        return " + ".join(str(each) for each in self.techniques if each in on)

    def without(self, technique: Technique, among: Sequence[On]) -> Iterator[tuple[On, On]]:
        """The pairs of configurations that differ in this technique only: without, and with it."""
        known = set(among)
        for on in among:
            if technique in on and on - {technique} in known:
                yield on - {technique}, on


def labelled(option: str, values: Sequence[Any]) -> dict[str, Any]:
    """Values by what they are called.

    Raises:
        ConfigurationError: When two would be called the same.
    """
    named: dict[str, Any] = {}
    for value in values:
        label = label_of(value)
        if label in named:
            raise ConfigurationError(
                f"Two values of the option {option!r} are called {label!r}: name them, as in "
                f"{{{option!r}: {{'one': …, 'other': …}}}}."
            )
        named[label] = value
    return named


def label_of(value: Any) -> str:
    """What a value is called: itself where it is plain, else its name or class."""
    if value is None or isinstance(value, str | int | float) or dataclasses.is_dataclass(value):
        return shortened(str(value), _LONGEST)
    if isinstance(value, list | tuple):
        return shortened(", ".join(map(label_of, value)) or "none", _LONGEST)
    name = getattr(value, "__name__", None) or getattr(value, "name", None)
    return str(name or type(value).__name__)


def _is_off(value: Any) -> bool:
    return value is None or value is False
