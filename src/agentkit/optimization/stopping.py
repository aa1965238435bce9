"""Ending an optimiser from inside of what it runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from agentkit.errors import BudgetError


class StoppedError(BaseException):
    """The optimiser is to end; no `Exception`, which optimisers take for a bad prompt."""


class Gate:
    """Lets runs of a graph begin until it is closed, and waits for those that have begun."""

    def __init__(self) -> None:
        self._closed = False
        self._inside = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """One run, or what comes of it; one that the budget did not suffice for closes the gate.

        Raises:
            StoppedError: When the gate is closed, or closes.
        """
        with self._changed:
            if self._closed:
                raise StoppedError("The optimisation was stopped.")
            self._inside += 1
        try:
            yield
        except BudgetError as error:
            self.close()
            raise StoppedError(str(error)) from error
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Let no run begin any more."""
        with self._changed:
            self._closed = True

    def wait(self) -> None:
        """Wait until no run is inside."""
        with self._changed:
            self._changed.wait_for(lambda: self._inside == 0)
