"""What can be shown as a table: in a terminal, as text, or printed by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Group


class AsTable(ABC):
    """Something that rich prints as a table, and `print` as the same without colours."""

    @abstractmethod
    def __rich__(self) -> Group: ...

    def __str__(self) -> str:
        from agentkit.evaluation.tables import as_text

        return as_text(self.__rich__())

    def show(self) -> None:
        """Print it as a table."""
        from rich.console import Console

        Console().print(self)
