"""What is used of DSPy, or how to install it."""

from __future__ import annotations

from agentkit.errors import MissingExtraError

try:
    import dspy
    from dspy import lm15
    from dspy.utils.exceptions import AdapterParseError
except ImportError as error:
    raise MissingExtraError("Optimising prompts with DSPy", "optimize") from error

__all__ = ["AdapterParseError", "dspy", "lm15"]
