"""A LangGraph app built on agentkit, to start one's own from: what `agentkit init` writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from agentkit.diagnosis import installed_version
from agentkit.errors import ConfigurationError

TEMPLATE = Path(__file__).parent / "templates" / "workspace"

_TO_FILL_IN = ".template"
_MADE_BY_RUNNING = ("__pycache__", ".pytest_cache")


def create_workspace(folder: str | Path) -> list[Path]:
    """Write an app: graphs, tools, example data, tests that pass, and how to go on.

    Args:
        folder: Where to; it is made, and its name becomes the app's.

    Returns:
        The files that were written, in order.

    Raises:
        ConfigurationError: When the folder holds something already, or cannot be written to.
    """
    target = Path(folder).resolve()
    filled_in = {"{{name}}": _project_name(target.name), "{{version}}": installed_version()}
    try:
        _check_empty(target)
        return [_written(file, target, filled_in) for file in _template_files()]
    except OSError as error:
        raise ConfigurationError(f"Nothing can be written to {target}: {error}.") from error


def _check_empty(target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise ConfigurationError(f"{target} is a file. Name a folder that is new or empty.")
    if target.exists() and (found := next(target.iterdir(), None)):
        raise ConfigurationError(
            f"{target} is not empty: it holds {found.name}. Name a folder that is new or empty."
        )


def _template_files() -> list[Path]:
    files = (file for file in TEMPLATE.rglob("*") if file.is_file())
    return sorted(file for file in files if not set(file.parts) & set(_MADE_BY_RUNNING))


def _written(file: Path, target: Path, filled_in: Mapping[str, str]) -> Path:
    made = target / file.relative_to(TEMPLATE)
    text = file.read_text(encoding="utf-8")
    if made.suffix == _TO_FILL_IN:
        made = made.with_suffix("")
        for mark, value in filled_in.items():
            text = text.replace(mark, value)
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_text(text, encoding="utf-8")
    return made


def _project_name(folder: str) -> str:
    """A name that Python's packaging takes, made from a folder's.

    Source: the packaging specification "Names and normalization".
    """
    return re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-") or "app"
