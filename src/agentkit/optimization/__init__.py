"""Tuning the prompts of a graph: DSPy's optimisers over whole graphs, and GEPA alone.

Only this package imports DSPy; what it finds is a `PromptSet`, which needs none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit._lazy import lazy_names

if TYPE_CHECKING:
    from agentkit.evaluation.usage import Budget
    from agentkit.optimization.optimizing import aoptimize, optimize
    from agentkit.optimization.program import GraphProgram
    from agentkit.optimization.result import HeldOut, Optimization
    from agentkit.optimization.spending import Spent

__all__ = [
    "Budget",
    "GraphProgram",
    "HeldOut",
    "Optimization",
    "Spent",
    "aoptimize",
    "optimize",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Budget": "spending",
        "GraphProgram": "program",
        "HeldOut": "result",
        "Optimization": "result",
        "Spent": "spending",
        "aoptimize": "optimizing",
        "optimize": "optimizing",
    },
)
