"""Keeping DSPy's reports of progress off the terminal.

DSPy prints them, logs them and shows them as bars, and only some of that can be turned off. How far
an optimisation is, is told by its `progress` instead.
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

_PRINTING = (
    "dspy.teleprompt.bootstrap",
    "dspy.teleprompt.random_search",
    "dspy.teleprompt.utils",
)
_SHOWING_BARS = ("dspy.teleprompt.bootstrap", "dspy.utils.parallelizer", "dspy.evaluate.evaluate")

_is_silent: ContextVar[bool] = ContextVar("agentkit_is_silent", default=False)


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """DSPy reports nothing inside, in this thread; what others do in theirs is reported."""
    _teach_silence()
    token = _is_silent.set(True)
    try:
        yield
    finally:
        _is_silent.reset(token)


@functools.cache
def _teach_silence() -> None:
    """Have DSPy's modules ask, whenever they report, whether they are to be silent."""
    for name in _PRINTING:
        vars(importlib.import_module(name))["print"] = _print
    for name in _SHOWING_BARS:
        vars(importlib.import_module(name))["tqdm"] = SimpleNamespace(tqdm=_Bar)
    vars(importlib.import_module("gepa.core.engine"))["tqdm"] = _Bar
    for handler in logging.getLogger("dspy").handlers:
        handler.addFilter(lambda _: not _is_silent.get())


def _print(*told: Any, **options: Any) -> None:
    if not _is_silent.get():
        print(*told, **options)  # noqa: T201 - as DSPy would have


class _Bar(tqdm.tqdm):  # type: ignore[misc]
    def __init__(self, *given: Any, disable: bool = False, **options: Any) -> None:
        super().__init__(*given, disable=disable or _is_silent.get(), **options)
