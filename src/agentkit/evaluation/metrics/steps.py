"""What a graph did on its way: tools it called, routes it took, memories it recalled."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from langchain_core.messages import AIMessage

from agentkit._numbers import whole_number
from agentkit.errors import ConfigurationError, ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.metrics._reading import expected, returned
from agentkit.evaluation.scores import Output, Score
from agentkit.retrieval.words import folded_words

Match: TypeAlias = Literal["strict", "unordered", "superset", "subset"]
"""Whether the same calls must be made in the same order, in any order, at least those (a superset
of them), or at most those (a subset)."""

MATCHES: tuple[Match, ...] = get_args(Match)


class Call(NamedTuple):
    """A call of a tool, made or wanted; None stands for whatever arguments."""

    name: str
    arguments: Any = None

    def fits(self, wanted: Call) -> bool:
        """Whether it is the call that is wanted."""
        return self.name == wanted.name and wanted.arguments in (None, self.arguments)

    def __str__(self) -> str:
        if self.arguments is None:
            return f"{self.name}(…)"
        return f"{self.name}({json.dumps(self.arguments, ensure_ascii=False, sort_keys=True)})"


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

        Of a conversation's messages those count that came after the last human one.

        Raises:
            ScoringError: When there is neither, or no list of tools is expected.
        """
        wanted, made = _wanted(example), _made(output)
        missing, extra = _unmatched(wanted, made)
        in_order = all(call.fits(each) for call, each in zip(made, wanted, strict=False))
        right = {
            "strict": not missing and not extra and in_order,
            "unordered": not missing and not extra,
            "superset": not missing,
            "subset": not extra,
        }[self.match]
        told = [
            f"Not called: {_listed(missing)}." if missing else "",
            f"Called besides: {_listed(extra)}." if extra else "",
            "" if missing or extra or right else f"Called in another order: {_listed(made)}.",
        ]
        return Score(float(right), " ".join(filter(None, told)) or "Called as expected.")


@dataclass(frozen=True)
class RouteAccuracy:
    """Whether a router sent the question where `expected["route"]` says: a name, or several."""

    name: str = "route_accuracy"

    def __call__(self, example: Example, output: Output) -> Score:
        """Score the routes of an output's `parts`, in whatever order."""
        wanted = _names(expected(example, "route"))
        parts = _mappings(output, "parts", "route")
        taken = {str(part["route"]) for part in parts if part["route"]}
        told = f"Expected {_or_none(wanted)}; went to {_or_none(taken)}."
        return Score(float(taken == wanted), told)


@dataclass(frozen=True)
class MemoryRecall:
    """The share of what `expected["memories"]` names that was recalled: ids, messages or texts.

    Turns of a conversation that hold the evidence may be named in `expected["evidence"]` instead.

    Args:
        k: How many of the recalled memories count; None for all.
    """

    k: int | None = None

    def __post_init__(self) -> None:
        if self.k is not None:
            whole_number("k", self.k)

    @property
    def name(self) -> str:
        """Such as `memory_recall@5`."""
        return f"memory_recall@{self.k}" if self.k else "memory_recall"

    def __call__(self, example: Example, output: Output) -> Score:
        """Score the `memories` of an output.

        Raises:
            ScoringError: When there are none to be found, or none are expected.
        """
        is_evidence = "evidence" in example.expected and "memories" not in example.expected
        field = "evidence" if is_evidence else "memories"
        wanted = sorted(_names(expected(example, field)))
        if not wanted:
            raise ScoringError(f"The example's expected {field!r} is empty.")
        recalled = _mappings(output, "memories")[: self.k]
        ids = {str(each.get(key)) for each in recalled for key in ("id", "message")}
        texts = {folded_words(str(each.get("text", ""))) for each in recalled} - {""}
        missing = [each for each in wanted if each not in ids and folded_words(each) not in texts]
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
        return Call(given)
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise ScoringError(f"A tool is a name, or a mapping with `name` and `args`; got {given!r}.")
    return Call(given["name"], _plain(given.get("args")))


def _made(output: Output) -> list[Call]:
    if isinstance(output, Mapping) and "trace" in output:
        calls = _mappings(output, "trace", "tool", "arguments")
        return [Call(call["tool"], _plain(call["arguments"])) for call in calls]
    from agentkit.middleware.results import run_messages

    messages = run_messages(returned(output, "messages"))
    return [
        Call(call["name"], _plain(call["args"]))
        for each in messages
        if isinstance(each, AIMessage)
        for call in each.tool_calls
    ]


def _mappings(output: Output, field: str, *keys: str) -> list[Mapping[str, Any]]:
    """A list of mappings that the graph returned, each with these keys."""
    found = returned(output, field)
    if isinstance(found, Sequence) and all(
        isinstance(each, Mapping) and each.keys() >= set(keys) for each in found
    ):
        return list(found)
    told = f" with {' and '.join(map(repr, keys))}" if keys else ""
    raise ScoringError(f"{field!r} is a list of mappings{told}; got {found!r:.200}.")


def _unmatched(wanted: Sequence[Call], made: Sequence[Call]) -> tuple[list[Call], list[Call]]:
    """The wanted calls that were not made, and the calls that were not wanted."""
    missing, left = [], list(made)
    # those whose arguments are known choose first, as the others take any
    for each in sorted(wanted, key=lambda call: call.arguments is None):
        place = next((place for place, call in enumerate(left) if call.fits(each)), None)
        if place is None:
            missing.append(each)
        else:
            del left[place]
    return missing, left


def _plain(value: Any) -> Any:
    """A value as JSON has it, so that a tuple is a list and a date its text."""
    return json.loads(json.dumps(value, default=str))


def _listed(calls: Sequence[Call]) -> str:
    return ", ".join(map(str, calls))


def _names(value: Any) -> set[str]:
    if isinstance(value, str):
        return {value}
    if not isinstance(value, Sequence | set):
        raise ScoringError(f"A name, or a list of names, is expected; got {value!r:.200}.")
    return {str(each) for each in value}


def _or_none(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
