"""What a graph did on its way: tools it called, routes it took, memories it recalled."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from langchain_core.messages import AIMessage

from agentkit.errors import ConfigurationError, ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.metrics._reading import at_least_one, expected, returned
from agentkit.evaluation.scores import Output, Score

Match: TypeAlias = Literal["strict", "unordered", "superset", "subset"]
"""Whether the same calls must be made in the same order, in any order, at least those (a superset
of them), or at most those (a subset)."""

MATCHES: tuple[Match, ...] = get_args(Match)

Call: TypeAlias = tuple[str, str | None]  # a tool's name, and its arguments as JSON


@dataclass(frozen=True)
class ToolTrajectory:
    """Whether the tools were called that `expected["tools"]` lists.

    These are names, or mappings with `name` and `args`, whose arguments are compared too.

    Args:
        match: How the calls must match.
    """

    match: Match = "strict"

    def __post_init__(self) -> None:
        if self.match not in MATCHES:
            known = ", ".join(map(repr, MATCHES))
            raise ConfigurationError(f"`match` is one of {known}; got {self.match!r}.")

    @property
    def name(self) -> str:
        """Such as `tools_strict`."""
        return f"tools_{self.match}"

    def __call__(self, example: Example, output: Output) -> Score:
        """Score the calls of an output: its `trace`, or else the calls in its `messages`.

        Raises:
            ScoringError: When there is neither, or no list of tools is expected.
        """
        wanted = _wanted(example)
        made = [_as_wanted(call, wanted) for call in _made(output)]
        missing, extra = Counter(wanted) - Counter(made), Counter(made) - Counter(wanted)
        right = {
            "strict": made == wanted,
            "unordered": not missing and not extra,
            "superset": not missing,
            "subset": not extra,
        }[self.match]
        told = [
            f"Not called: {_listed(missing)}." if missing else "",
            f"Called besides: {_listed(extra)}." if extra else "",
            "" if missing or extra or right else "Called in another order.",
        ]
        return Score(float(right), " ".join(filter(None, told)) or "Called as expected.")


@dataclass(frozen=True)
class RouteAccuracy:
    """Whether a router sent the question where `expected["route"]` says: a name, or several."""

    name: str = "route_accuracy"

    def __call__(self, example: Example, output: Output) -> Score:
        """Score the routes of an output's `parts`, in whatever order."""
        wanted = _names(expected(example, "route"))
        parts = returned(output, "parts")
        taken = {str(part["route"]) for part in parts if part.get("route")}
        told = f"Expected {_or_none(wanted)}; went to {_or_none(taken)}."
        return Score(float(taken == wanted), told)


@dataclass(frozen=True)
class MemoryRecall:
    """The share of what `expected["memories"]` names that was recalled: ids, messages or texts.

    Args:
        k: How many of the recalled memories count; None for all.
    """

    k: int | None = None

    def __post_init__(self) -> None:
        at_least_one("k", self.k)

    @property
    def name(self) -> str:
        """Such as `memory_recall@5`."""
        return f"memory_recall@{self.k}" if self.k else "memory_recall"

    def __call__(self, example: Example, output: Output) -> Score:
        """Score the `memories` of an output."""
        wanted = sorted(_names(expected(example, "memories")))
        if not wanted:
            raise ScoringError("The example's expected 'memories' is empty.")
        recalled = [*returned(output, "memories")][: self.k]
        known = {str(each.get(key)) for each in recalled for key in ("id", "message", "text")}
        missing = [each for each in wanted if each not in known]
        told = f"Not recalled: {', '.join(missing)}." if missing else "All were recalled."
        return Score(1 - len(missing) / len(wanted), told)


def tool_trajectory(match: Match = "strict") -> ToolTrajectory:
    """Whether the expected tools were called; see the class."""
    return ToolTrajectory(match)


def memory_recall(*, k: int | None = None) -> MemoryRecall:
    """The share of the expected memories that was recalled; see the class."""
    return MemoryRecall(k)


route_accuracy = RouteAccuracy()
"""Whether the expected routes were taken."""


def _wanted(example: Example) -> list[Call]:
    listed = example.expected.get("tools")
    if listed is None:
        expected(example, "tools")
    if isinstance(listed, str) or not isinstance(listed, Sequence):
        raise ScoringError(f"The expected 'tools' are a list; got {listed!r:.200}.")
    return [_call(each) for each in listed]


def _call(given: Any) -> Call:
    if isinstance(given, str):
        return given, None
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise ScoringError(f"A tool is a name, or a mapping with `name` and `args`; got {given!r}.")
    arguments = given.get("args")
    return given["name"], None if arguments is None else _as_json(arguments)


def _made(output: Output) -> list[Call]:
    if isinstance(output, Mapping) and "trace" in output:
        return [(call["tool"], _as_json(call["arguments"])) for call in output["trace"]]
    messages = [each for each in returned(output, "messages") if isinstance(each, AIMessage)]
    return [(call["name"], _as_json(call["args"])) for each in messages for call in each.tool_calls]


def _as_wanted(call: Call, wanted: Sequence[Call]) -> Call:
    """A call without its arguments, where any will do for its tool."""
    return (call[0], None) if (call[0], None) in wanted and call not in wanted else call


def _as_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _listed(calls: Counter[Call]) -> str:
    return ", ".join(f"{name}({arguments or '…'})" for name, arguments in calls.elements())


def _names(value: Any) -> set[str]:
    if isinstance(value, str):
        return {value}
    if not isinstance(value, Sequence | set):
        raise ScoringError(f"A name, or a list of names, is expected; got {value!r:.200}.")
    return {str(each) for each in value}


def _or_none(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
