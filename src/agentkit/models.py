"""A chat model or embeddings from a string, an object or the environment."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from agentkit.errors import AgentkitError, ConfigurationError, MissingExtraError, WeightsError

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel

LOCAL = "local"
MODEL_VARIABLE = "AGENTKIT_MODEL"
EMBEDDINGS_VARIABLE = "AGENTKIT_EMBEDDINGS"

_OPENAI_PROVIDERS = frozenset({"openai", "azure_openai"})

Made = TypeVar("Made")


def chat_model(spec: str | BaseChatModel | None = None, /, **options: Any) -> BaseChatModel:
    """The chat model that a spec names.

    Args:
        spec: A LangChain chat model (returned as it is); a `provider:model` string as
            `langchain.chat_models.init_chat_model` takes it, such as `openai:gpt-5-mini`;
            `local` for the embedded model; or None for what the environment variable
            `AGENTKIT_MODEL` says, and `local` when it says nothing.
        options: Passed to the model when it is made from a string, such as `temperature=0` or
            `base_url="http://localhost:8000/v1"` for an OpenAI-compatible server.

    Returns:
        A LangChain chat model.

    Raises:
        ConfigurationError: When the spec is not one of these, or no model can be made of it.
        MissingExtraError: When the package of the model's provider is not installed.
    """
    from langchain_core.language_models import BaseChatModel

    spec = spec_or_default(spec)
    if isinstance(spec, BaseChatModel):
        return _made(spec, options)
    return _make("chat model", spec, _local_chat_model, _provider_chat_model, options)


def embeddings(spec: str | Embeddings | None = None, /, **options: Any) -> Embeddings:
    """The embeddings that a spec names.

    Args:
        spec: LangChain embeddings (returned as they are); a `provider:model` string as
            `langchain.embeddings.init_embeddings` takes it, such as
            `openai:text-embedding-3-small`; `local` for the embedded ones; or None for what the
            environment variable `AGENTKIT_EMBEDDINGS` says, and `local` when it says nothing.
        options: Passed to the embeddings when they are made from a string.

    Returns:
        LangChain embeddings.

    Raises:
        ConfigurationError: When the spec is not one of these, or nothing can be made of it.
        MissingExtraError: When the package of the embeddings' provider is not installed.
    """
    from langchain_core.embeddings import Embeddings

    spec = spec_or_default(spec, EMBEDDINGS_VARIABLE)
    if isinstance(spec, Embeddings):
        return _made(spec, options)
    return _make("embeddings", spec, _local_embeddings, _provider_embeddings, options)


def embeddings_at_hand(spec: str | Embeddings | None) -> Embeddings | None:
    """The embeddings; none where nobody asked for any and the embedded ones are missing."""
    try:
        return embeddings(spec)
    except (MissingExtraError, WeightsError):
        if spec is not None:
            raise
        return None


def identity_of(embeddings: Embeddings) -> str:
    """What tells embeddings apart: their `identity`, or their class, model and dimensions."""
    identity = getattr(embeddings, "identity", None)
    if identity is not None:
        return str(identity)
    model = getattr(embeddings, "model", None) or getattr(embeddings, "model_name", None)
    parts = [type(embeddings).__name__, model, getattr(embeddings, "dimensions", None)]
    return ":".join(str(part) for part in parts if part is not None)


def most_choices(model: BaseChatModel) -> int | None:
    """Among how many things a weak model can choose at all; None for one that writes and ranks."""
    # the class is asked first, as a pydantic object takes long to find that it lacks a name
    kind = type(model)
    if not hasattr(kind, "max_choices") and "max_choices" not in kind.model_fields:
        return None
    most: int | None = getattr(model, "max_choices", None)
    return most


def spec_or_default(spec: Any, variable: str = MODEL_VARIABLE) -> Any:
    """The spec, or where it is None what the environment says, or else `local`."""
    return (os.environ.get(variable) or LOCAL) if spec is None else spec


def _made(made: Made, options: dict[str, Any]) -> Made:
    if options:
        raise ConfigurationError(
            f"This {type(made).__name__} is made already: {', '.join(options)} can only be given "
            "with a 'provider:model' string."
        )
    return made


def _make(
    kind: str,
    spec: Any,
    local: Callable[..., Made],
    provider: Callable[..., Made],
    options: dict[str, Any],
) -> Made:
    if not isinstance(spec, str):
        raise ConfigurationError(
            f"Expected as {kind} a LangChain object, a 'provider:model' string, 'local' or "
            f"None; got {type(spec).__name__}."
        )
    if not spec.strip():
        raise ConfigurationError(f"The {kind} cannot be made from an empty string.")
    try:
        return local(**options) if spec == LOCAL else provider(spec, **options)
    except AgentkitError:
        raise
    except ImportError as error:
        if spec.startswith("openai:"):
            raise MissingExtraError(f"The {kind} {spec!r}", "openai") from error
        raise ConfigurationError(f"The {kind} {spec!r} cannot be loaded: {error}") from error
    except Exception as error:
        told = " ".join(str(error).partition("\nSupported providers")[0].split())
        raise ConfigurationError(
            f"The {kind} {spec!r} cannot be made: {told} "
            "(A spec is 'local' or 'provider:model', such as 'openai:gpt-5-mini'.)"
        ) from error


def _local_chat_model(**options: Any) -> BaseChatModel:
    from agentkit.local import LocalChatModel

    made: BaseChatModel = LocalChatModel(**options)
    return made


def _local_embeddings(**options: Any) -> Embeddings:
    from agentkit.local import LocalEmbeddings

    made: Embeddings = LocalEmbeddings(**options)
    return made


def _provider_chat_model(spec: str, **options: Any) -> BaseChatModel:
    from langchain.chat_models import init_chat_model

    made: BaseChatModel = init_chat_model(spec, **options)
    return made


def _provider_embeddings(spec: str, **options: Any) -> Embeddings:
    from langchain.embeddings import init_embeddings

    if ":" not in spec and "provider" not in options:
        raise ValueError("It names no provider.")
    if _OPENAI_PROVIDERS & {spec.partition(":")[0], options.get("provider")}:
        # else the texts are split by tables fetched from the network, into token ids that other
        # servers do not take
        options.setdefault("check_embedding_ctx_length", False)
    return init_embeddings(spec, **options)
