"""The errors agentkit raises: each says what was given, what was expected and what to do."""

from __future__ import annotations


class AgentkitError(Exception):
    """Base class of every error that agentkit raises on purpose."""


class ConfigurationError(AgentkitError, ValueError):
    """An option, a model spec or a combination of them cannot work."""


class InvalidInputError(AgentkitError, ValueError):
    """A question, a document or a file is not of the kind that was asked for."""


class MissingExtraError(AgentkitError, ImportError):
    """An optional dependency is not installed.

    Args:
        feature: What needs it, as the subject of a sentence ("Index", "The embedded model").
        extra: The extra of `agentkit-graphs` that brings it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs an optional dependency that is not installed. "
            f"Install it with: pip install 'agentkit-graphs[{extra}]'"
        )
        self.feature = feature
        self.extra = extra

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        return type(self), (self.feature, self.extra)


class UnknownPromptError(AgentkitError, KeyError):
    """A prompt was named that the graph or prompt set does not have."""

    def __str__(self) -> str:
        return str(self.args[0])


class PromptMismatchError(AgentkitError, ValueError):
    """A tuned text was made for another prompt than the one that it is given to."""


class PromptOutputError(AgentkitError):
    """A model's reply could not be read as the prompt's output, even after one repair."""


class RetrievalError(AgentkitError):
    """No retriever could be searched, or one returned something that is not documents."""


class IndexMismatchError(AgentkitError):
    """An index was opened with other embeddings than it was built with, or is of another format."""


class WeightsError(AgentkitError):
    """The embedded model's weights are missing or are not the expected bytes."""


class ScriptError(AgentkitError, AssertionError):
    """A scripted model was asked something that its script does not answer."""


class DatabaseError(AgentkitError):
    """A database could not be reached, opened or read."""


class QueryRefusedError(AgentkitError, ValueError):
    """A query was not run because it does more than read, or what may not be read."""


class QueryError(AgentkitError):
    """The database, or the check of names before it, could make nothing of a query."""


class QueryTimeoutError(QueryError):
    """A query took longer than it may."""


class MCPServerError(AgentkitError):
    """An MCP server could not be reached, broke off, or answered what is no answer."""


class SummaryError(AgentkitError):
    """A conversation could not be summarised: the model failed, was slow, or wrote no summary."""


class MemoryStoreError(AgentkitError):
    """A record of long-term memory could not be read or written."""


class ConversationBusyError(AgentkitError):
    """Another run of the same conversation did not end in time."""


class ClockError(AgentkitError):
    """The clock is behind the last turn of a conversation, which a new one would come before."""


class DatasetError(AgentkitError, ValueError):
    """A dataset cannot be read or used."""


class ScoringError(AgentkitError):
    """A metric gave no score."""


class BudgetError(AgentkitError):
    """A budget cannot be kept to, or is used up."""
