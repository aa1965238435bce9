"""What is installed, configured and reachable: the findings of `agentkit doctor`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import httpx

from agentkit.errors import AgentkitError
from agentkit.models import EMBEDDINGS_VARIABLE, LOCAL, MODEL_VARIABLE, chat_model, embeddings

State: TypeAlias = Literal["good", "optional", "bad"]

DISTRIBUTION = "agentkit-graphs"

_TOGETHER = "all"

_SECONDS = 3.0
_KEYS = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "google_genai": "GOOGLE_API_KEY",
    "mistralai": "MISTRAL_API_KEY",
    "cohere": "COHERE_API_KEY",
    "groq": "GROQ_API_KEY",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    `state` is good, optional (missing, and needed only for what `subject` names) or bad; `advice`
    is what to do about it, or empty.
    """

    state: State
    subject: str
    found: str
    advice: str = ""


def diagnose(environment: Mapping[str, str]) -> list[Finding]:
    """Look at the installation and the configuration.

    Args:
        environment: The environment variables, such as `os.environ`.

    Returns:
        A finding for each thing, in the order in which they are needed. Models are made, but not
        asked; a server that `OPENAI_BASE_URL` names is asked for its models.
    """
    model = environment.get(MODEL_VARIABLE) or LOCAL
    embedding = environment.get(EMBEDDINGS_VARIABLE) or LOCAL
    return [
        _python(),
        *_extras(),
        *_weights(needed=LOCAL in (model, embedding)),
        _configured("chat model", model, MODEL_VARIABLE, environment),
        _configured("embeddings", embedding, EMBEDDINGS_VARIABLE, environment),
        *_server(environment),
    ]


def installed_version() -> str:
    """The version of agentkit that is installed."""
    return importlib.metadata.version(DISTRIBUTION)


def _python() -> Finding:
    return Finding("good", f"agentkit {installed_version()}", f"Python {sys.version.split()[0]}")


def _extras() -> Iterator[Finding]:
    for extra, requirements in _requirements_by_extra().items():
        if missing := _missing(requirements):
            advice = _install_command(extra)
            yield Finding("optional", f"extra {extra}", f"without {', '.join(missing)}", advice)
        else:
            found = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in requirements)
            yield Finding("good", f"extra {extra}", found)


def _requirements_by_extra() -> dict[str, list[str]]:
    """The distributions that each extra names, but for the one that names all others."""
    extras: dict[str, list[str]] = {}
    for requirement in importlib.metadata.requires(DISTRIBUTION) or []:
        name = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
        if name and extra and name.group() != DISTRIBUTION and extra.group(1) != _TOGETHER:
            extras.setdefault(extra.group(1), []).append(name.group())
    return extras


def _missing(requirements: Iterable[str]) -> list[str]:
    return [name for name in requirements if not _is_installed(name)]


def _install_command(extra: str) -> str:
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _weights(*, needed: bool) -> Iterator[Finding]:
    from agentkit.local import weights

    for package in weights.PACKAGES:
        subject = f"weights of {package.model}"
        try:
            weights.verify(package)
        except AgentkitError as error:
            state: State = "bad" if needed else "optional"
            yield Finding(state, subject, str(error), weights.INSTALL_COMMAND)
        else:
            yield Finding("good", subject, "installed, SHA-256 right")


def _configured(kind: str, spec: str, variable: str, environment: Mapping[str, str]) -> Finding:
    subject = f"{kind} {spec}"
    where = f"from {variable}" if environment.get(variable) else "the default"
    if (key := _missing_key(spec, environment)) is not None:
        return Finding("bad", subject, f"{where}; {key} is not set", f"export {key}=…")
    if spec == LOCAL and (missing := _missing(_requirements_by_extra()[LOCAL])):
        return Finding(
            "bad", subject, f"{where}; without {', '.join(missing)}", _install_command(LOCAL)
        )
    try:
        chat_model(spec) if kind == "chat model" else embeddings(spec)
    except AgentkitError as error:
        return Finding("bad", subject, str(error), f"set {variable}, or install what is missing")
    if spec == LOCAL:
        advice = f"it proves the wiring, never quality: set {variable} for a real one"
        return Finding("good", subject, where, advice if kind == "chat model" else "")
    return Finding("good", subject, where)


def _missing_key(spec: str, environment: Mapping[str, str]) -> str | None:
    key = _KEYS.get(spec.split(":", 1)[0])
    if key is None or environment.get(key):
        return None
    return key


def _server(environment: Mapping[str, str]) -> Iterator[Finding]:
    address = environment.get("OPENAI_BASE_URL")
    if not address:
        return
    key = environment.get("OPENAI_API_KEY")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        reply = httpx.get(f"{address.rstrip('/')}/models", headers=headers, timeout=_SECONDS)
        reply.raise_for_status()
        models = [model["id"] for model in reply.json()["data"]]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        told = f"{type(error).__name__}: {error}"
        yield Finding("bad", address, told, "start the server, or correct OPENAI_BASE_URL")
    else:
        yield Finding("good", address, f"serves {', '.join(models) or 'no model'}")
