"""Restraining DSPy, which reports on the terminal and makes slow runs twice.

It prints, logs and shows bars, of which only some can be turned off; how far an optimisation is,
is told by its own `progress`. A run that takes two minutes it begins a second time, at a second
price.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
from collections.abc import Iterator
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import tqdm
from dspy.utils.parallelizer import ParallelExecutor

_PRINTING = (
    "dspy.teleprompt.bootstrap",
    "dspy.teleprompt.random_search",
    "dspy.teleprompt.utils",
)
_SHOWING_BARS = ("dspy.teleprompt.bootstrap", "dspy.utils.parallelizer", "dspy.evaluate.evaluate")
_EXECUTING = ("dspy.evaluate.evaluate", "dspy.predict.parallel")

_is_restrained: ContextVar[bool] = ContextVar("agentkit_is_restrained", default=False)


@contextlib.contextmanager
def restrained() -> Iterator[None]:
    """DSPy is restrained inside, in this thread; in others it does as ever."""
    _teach()
    token = _is_restrained.set(True)
    try:
        yield
    finally:
        _is_restrained.reset(token)


@functools.cache
def _teach() -> None:
    """Have DSPy's modules ask whether they are restrained."""
    for name in _PRINTING:
        vars(importlib.import_module(name))["print"] = _print
    for name in _SHOWING_BARS:
        vars(importlib.import_module(name))["tqdm"] = SimpleNamespace(tqdm=_Bar)
    vars(importlib.import_module("gepa.core.engine"))["tqdm"] = _Bar
    for name in _EXECUTING:
        vars(importlib.import_module(name))["ParallelExecutor"] = _Executor
    for handler in logging.getLogger("dspy").handlers:
        handler.addFilter(lambda _: not _is_restrained.get())


def _print(*told: Any, **options: Any) -> None:
    if not _is_restrained.get():
        print(*told, **options)  # noqa: T201 - as DSPy would have


class _Bar(tqdm.tqdm):  # type: ignore[misc]
    def __init__(self, *given: Any, disable: bool = False, **options: Any) -> None:
        super().__init__(*given, disable=disable or _is_restrained.get(), **options)


class _Executor(ParallelExecutor):  # type: ignore[misc]
    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        if _is_restrained.get():
            self.timeout = 0  # that is, none
