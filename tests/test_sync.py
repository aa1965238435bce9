"""Async code run from sync code."""

import asyncio
import contextvars
import threading

import pytest

from agentkit._sync import run_sync

variable = contextvars.ContextVar("variable", default="unset")


async def answer():
    await asyncio.sleep(0)
    return variable.get()


def test_it_returns_the_result_and_sees_the_callers_context():
    token = variable.set("seen")
    try:
        assert run_sync(answer) == "seen"
    finally:
        variable.reset(token)


async def test_it_works_inside_a_running_loop_as_in_a_notebook():
    assert run_sync(answer) == "unset"


def test_an_exception_is_the_callers():
    async def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_sync(fail)


def test_waiting_for_itself_is_an_error_and_not_for_ever():
    async def nested():
        return run_sync(answer)

    with pytest.raises(RuntimeError, match="Await the async form"):
        run_sync(nested)


def test_many_threads_may_wait_at_once():
    everyone_waits = threading.Barrier(30)
    results = []

    async def meet():
        await asyncio.to_thread(everyone_waits.wait, 60)
        return "met"

    threads = [threading.Thread(target=lambda: results.append(run_sync(answer))) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == ["unset"] * 30
