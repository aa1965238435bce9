"""LangGraph's development server over the graphs of a `langgraph.json`."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import httpx

from agentkit.errors import ConfigurationError, MissingExtraError
from agentkit.serving.graphs_file import read_config

_SECONDS_TO_START = 120.0
_SECONDS_TO_STOP = 10.0
_SECONDS_BETWEEN_LOOKS = 0.1
_LINES_TOLD = 15


@contextlib.contextmanager
def development_server(
    config: str | Path = "langgraph.json",
    *,
    port: int | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float = _SECONDS_TO_START,
) -> Iterator[str]:
    """`langgraph dev` for as long as the block runs, on this machine only.

    It needs no account, sends nothing anywhere (unless tracing is turned on in the environment),
    and keeps its threads in `.langgraph_api` beside the file.

    Args:
        config: The app's `langgraph.json`.
        port: The port to listen at; None for a free one.
        environment: The server's environment variables; None for this process's.
        timeout: Seconds that it may take to start, in which it loads the graphs.

    Yields:
        Its address, for `langgraph_sdk` and for `view_app`.

    Raises:
        ConfigurationError: When the file is not there, or the server does not start.
        MissingExtraError: When the `studio` extra is not installed.
    """
    path = Path(config).resolve()
    read_config(path)
    if importlib.util.find_spec("langgraph_cli") is None:
        raise MissingExtraError("LangGraph's development server", "studio")
    at = port or _free_port()
    command = [sys.executable, "-m", "langgraph_cli", "dev", "--config", str(path)]
    command += ["--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", str(at)]
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(  # noqa: S603 - the program is this one's own Python
            command,
            cwd=path.parent,
            env=_quiet(os.environ if environment is None else environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            address = f"http://127.0.0.1:{at}"
            _wait_until_ready(address, server, log, timeout)
            yield address
        finally:
            _stop(server)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _quiet(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with nothing sent that was not asked for, and plain text in the log."""
    off = {"LANGSMITH_TRACING": "false", "LOG_COLOR": "false"}
    return {**off, **environment, "LANGGRAPH_CLI_NO_ANALYTICS": "1"}


def _wait_until_ready(
    address: str, server: subprocess.Popen[bytes], log: IO[bytes], timeout: float
) -> None:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if server.poll() is not None:
            raise ConfigurationError(f"LangGraph's server did not start. {_reason(log)}")
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{address}/ok", trust_env=False).is_success:
                return
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    raise ConfigurationError(
        f"LangGraph's server did not start within {timeout:g} seconds. {_reason(log)}"
    )


def _reason(log: IO[bytes]) -> str:
    """Which graph cannot be loaded and why, where that is it; else the last of what was said."""
    log.seek(0)
    lines = log.read().decode(errors="replace").splitlines()
    for line in reversed(lines):
        _, is_told, reason = line.partition("GraphLoadError: ")
        if is_told:
            return reason
    return "\n".join(["The last of what it said:", *lines[-_LINES_TOLD:]])


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(_SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
