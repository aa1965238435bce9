"""The engine of the embedded chat model: one llama.cpp server in this process.

llama.cpp's server engine cannot be had without its HTTP side. Here that listens on a Unix socket
in a folder that only this user may enter or, where there are no Unix sockets, on loopback; and
either way it serves nobody who lacks a secret that never leaves this process.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import http.client
import json
import os
import queue
import secrets
import shutil
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agentkit.errors import AgentkitError, InvalidInputError, MissingExtraError
from agentkit.local import weights

CONTEXT_TOKENS = 8192
"""The model's context window, prompt and reply together: what it was trained on."""
PROMPT_BATCH = 128
"""Tokens of a prompt that are read at once: between batches a request can be cancelled."""

Chunk = dict[str, Any]
"""A chunk of a streamed chat completion, as OpenAI's API has it."""
Delivery = Callable[[Chunk | BaseException | None], None]
"""Takes each chunk, then None at the end or the exception that ended it, on the worker thread."""


@dataclass(frozen=True)
class _Job:
    request: dict[str, Any]
    deliver: Delivery
    cancelled: threading.Event = field(default_factory=threading.Event)


class Engine:
    """Runs chat completions one after another, in the order in which they are asked for.

    The model is loaded by the first request. At the interpreter's exit, what still runs is
    stopped at its next token. A fork waits for what runs and unloads the model, which parent and
    child then load again when they need it: llama.cpp's threads would not survive in the child,
    whose exit would wait for them for ever.
    """

    _worker: threading.Thread | None
    _server: Any
    _folder: str | None

    def __init__(self) -> None:
        self._start_anew()
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._before_fork,
                after_in_parent=self._after_fork,
                after_in_child=self._start_anew,
            )

    def stream(self, request: dict[str, Any]) -> Iterator[Chunk]:
        """The chunks of a chat completion; leaving the iterator stops the generation.

        Args:
            request: A request to OpenAI's chat completions API, with llama.cpp's additions.

        Raises:
            InvalidInputError: When the prompt does not fit into the context window.
            WeightsError: When the model's weights are not installed.
            AgentkitError: When llama.cpp refuses the request for another reason.
        """
        received: queue.SimpleQueue[Chunk | BaseException | None] = queue.SimpleQueue()
        job = self._submit(request, received.put)
        try:
            while (item := received.get()) is not None:
                yield _chunk(item)
        finally:
            job.cancelled.set()

    async def astream(self, request: dict[str, Any]) -> AsyncIterator[Chunk]:
        """`stream`, without blocking the event loop; cancellation stops the generation."""
        received: asyncio.Queue[Chunk | BaseException | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        job = self._submit(
            request, lambda item: _call_soon(loop, lambda: received.put_nowait(item))
        )
        try:
            while (item := await received.get()) is not None:
                yield _chunk(item)
        finally:
            job.cancelled.set()

    def tokenize(self, text: str) -> list[int]:
        """The ids of a text's tokens; markup of chat turns counts as plain text."""
        body = json.dumps({"content": text, "parse_special": False})
        headers = {"Authorization": f"Bearer {self._secret}", "Content-Type": "application/json"}
        with self._model_lock, contextlib.closing(self._connect()) as connection:
            connection.request("POST", "/tokenize", body, headers)
            tokens: list[int] = json.load(connection.getresponse())["tokens"]
            return tokens

    def close(self) -> None:
        """Stop what runs, drop what waits and unload the model; the next request loads it again."""
        with self._lock:
            self._closing.set()
            self._jobs.put(None)
            if self._worker:
                self._worker.join()
            self._unload()
            self._start_anew()

    def _start_anew(self) -> None:
        self._lock = threading.RLock()
        self._running = threading.Lock()
        self._model_lock = threading.RLock()
        self._closing = threading.Event()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._worker = None
        self._server = None
        self._folder = None
        self._secret = secrets.token_urlsafe()

    def _unload(self) -> None:
        self._server = None
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _before_fork(self) -> None:
        self._running.acquire()
        self._model_lock.acquire()
        self._unload()

    def _after_fork(self) -> None:
        self._model_lock.release()
        self._running.release()

    def _submit(self, request: dict[str, Any], deliver: Delivery) -> _Job:
        job = _Job(request, deliver)
        with self._lock:
            if self._worker is None:
                # a daemon, since the interpreter waits for other threads before it lets us stop
                self._worker = threading.Thread(
                    target=self._work, name="agentkit-local", daemon=True
                )
                self._worker.start()
            self._jobs.put(job)
        return job

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self._closing.is_set():
                job.deliver(AgentkitError("The embedded model was closed before it replied."))
            elif not job.cancelled.is_set():
                with self._running:
                    self._run(job)

    def _run(self, job: _Job) -> None:
        try:
            refusal = self._complete(self._loaded(), job)
            if self._closing.is_set():
                refusal = AgentkitError("The embedded model was closed while it replied.")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's to see
            refusal = error
        job.deliver(refusal)

    def _complete(self, server: Any, job: _Job) -> BaseException | None:
        refusals: list[BaseException] = []

        def receive(chunk: Chunk) -> bool:
            """Pass a chunk on; True stops the generation."""
            if "error" in chunk:
                refusals.append(_refusal(chunk["error"]))
            elif "prompt_progress" not in chunk:
                job.deliver(chunk)
            return job.cancelled.is_set() or self._closing.is_set()

        request = {
            **job.request,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,
        }
        try:
            server.handle_chat_completions(request, receive)
        except ValueError as error:
            return AgentkitError(f"The embedded model refused the request: {error}")
        return refusals[0] if refusals else None

    def _loaded(self) -> Any:
        with self._model_lock:
            if self._server is None:
                self._server = self._load()
            return self._server

    def _load(self) -> Any:
        try:
            import xllamacpp  # type: ignore[import-untyped,unused-ignore]
        except ImportError as error:
            raise MissingExtraError("The embedded chat model", "local") from error
        params = xllamacpp.CommonParams()
        params.model.path = str(weights.find(weights.CHAT_WEIGHTS)[0])
        params.n_ctx = CONTEXT_TOKENS
        params.n_batch = params.n_ubatch = PROMPT_BATCH
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = thread_count()
        params.prefill_assistant = False
        params.cache_ram_mib = 0
        params.fit_params = params.warmup = params.ui = params.endpoint_slots = False
        params.verbosity = -1
        params.n_threads_http = 1
        params.api_keys = [self._secret]
        if hasattr(socket, "AF_UNIX"):
            self._folder = tempfile.mkdtemp(prefix="agentkit-")
            params.hostnames = [str(Path(self._folder) / "llama.sock")]
        try:
            return xllamacpp.Server(params)
        except RuntimeError as error:
            self._unload()
            raise AgentkitError(
                f"llama.cpp could not load the embedded model from {params.model.path}: {error}"
            ) from error

    def _connect(self) -> http.client.HTTPConnection:
        address = urlsplit(self._loaded().listening_address)
        connection = http.client.HTTPConnection(address.hostname or "localhost", address.port)
        if address.scheme == "unix":
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(address.path)
        return connection


ENGINE = Engine()
"""The one engine of the process: a second would only take the first one's memory and cores."""


def thread_count() -> int:
    """Threads to compute with: the cores that this process may use, but for one, and at least 1.

    llama.cpp's threads wait for each other by spinning: with more threads than free cores its
    speed collapses.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, cores - 1)


def _chunk(item: Chunk | BaseException) -> Chunk:
    if isinstance(item, BaseException):
        raise item
    return item


def _call_soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
        loop.call_soon_threadsafe(call)


def _refusal(error: dict[str, Any]) -> AgentkitError:
    if error.get("type") == "exceed_context_size_error":
        return InvalidInputError(
            f"The prompt has {error['n_prompt_tokens']:,} tokens; the embedded model takes at most "
            f"{error['n_ctx']:,}, its reply included. Shorten the prompt, retrieve fewer or "
            "shorter documents, or use another model."
        )
    return AgentkitError(f"The embedded model refused the request: {error.get('message', error)}")
