"""Async code run from sync code."""

import asyncio
import concurrent.futures
import contextvars
import os
import subprocess
import sys
import textwrap
import threading

import pytest

from agentkit._sync import in_thread, run_sync

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
    results, arrived, all_there = [], [], asyncio.Event()

    async def meet():
        arrived.append(1)
        if len(arrived) == 50:
            all_there.set()
        await asyncio.wait_for(all_there.wait(), 60)
        return "met"

    threads = [threading.Thread(target=lambda: results.append(run_sync(meet))) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == ["met"] * 50


def test_a_tool_may_call_sync_code_from_a_thread_of_the_loop():
    async def outer():
        return await asyncio.to_thread(run_sync, answer)

    assert run_sync(outer) == "unset"


def test_a_cancelled_call_is_told_and_later_ones_go_on():
    async def cancelled():
        raise asyncio.CancelledError

    with pytest.raises((asyncio.CancelledError, concurrent.futures.CancelledError)):
        run_sync(cancelled)
    assert run_sync(answer) == "unset"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
@pytest.mark.parametrize("nested", [False, True])
def test_what_ends_the_process_reaches_the_caller_and_not_the_loop(error, nested):
    async def leave():
        raise error

    async def gather():
        await asyncio.gather(leave(), answer())

    with pytest.raises(type(error)):
        run_sync(gather if nested else leave)
    assert run_sync(answer) == "unset"


def test_an_interrupted_caller_leaves_nothing_running(monkeypatch):
    started, stopped = threading.Event(), threading.Event()

    async def work():
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    def interrupted(future, timeout=None):
        assert started.wait(60)
        raise KeyboardInterrupt

    monkeypatch.setattr(concurrent.futures.Future, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_sync(work)
    assert stopped.wait(60)


def run_program(program):
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()


def test_the_first_callers_share_one_loop_however_many_come_at_once():
    assert run_program("""
        import asyncio, threading, time
        from agentkit._sync import run_sync

        new_event_loop = asyncio.new_event_loop

        def slow_event_loop():
            time.sleep(0.05)  # so that all ask before the first has one
            return new_event_loop()

        asyncio.new_event_loop = slow_event_loop
        loops, ready = set(), threading.Barrier(20)

        async def note():
            loops.add(asyncio.get_running_loop())

        def call():
            ready.wait()
            run_sync(note)

        threads = [threading.Thread(target=call) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(len(loops))
    """) == ["1"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_a_loop_of_its_own():
    assert run_program("""
        import os, signal
        from agentkit._sync import run_sync

        async def told():
            return "told"

        run_sync(told)
        if child := os.fork():
            print(os.waitpid(child, 0)[1], run_sync(told))
        else:
            signal.alarm(30)
            os._exit(0 if run_sync(told) == "told" else 1)
    """) == ["0", "told"]


def test_calls_one_after_the_other_are_made_in_the_same_thread():
    assert run_program("""
        import threading
        from agentkit._sync import in_thread

        print(len({in_thread(threading.get_ident, name="test").result(60) for _ in range(20)}))
    """) == ["1"]


def test_a_call_that_hangs_keeps_its_thread_and_holds_up_no_other():
    over = threading.Event()
    hanging = [in_thread(over.wait, name="test") for _ in range(20)]
    assert in_thread(lambda: "made", name="test").result(60) == "made"
    over.set()
    assert all(future.result(60) for future in hanging)


def test_a_call_that_is_cancelled_before_it_begins_is_not_made_and_leaves_its_thread_to_others():
    go, held, made = threading.Event(), threading.Event(), []
    first = in_thread(go.wait, name="test")
    first.add_done_callback(lambda _: held.wait(60))  # its thread rests, and has yet to come back
    go.set()
    first.result(60)
    second = in_thread(lambda: made.append("second"), name="test")
    assert second.cancel()
    held.set()
    assert in_thread(lambda: "third", name="test").result(30) == "third"
    assert made == []


def test_of_many_threads_only_a_few_rest_and_the_others_end():
    assert run_program("""
        import threading
        from agentkit import _sync

        ready, before = threading.Barrier(30), threading.active_count()
        calls = [_sync.in_thread(lambda: ready.wait(60), name="test") for _ in range(30)]
        for call in calls:
            call.result(60)
        resting = {each._thread for each in _sync._resting}
        for thread in set(threading.enumerate()) - resting - {threading.main_thread()}:
            thread.join(60)
        print(threading.active_count() - before == len(resting) < 15)
    """) == ["True"]


def test_what_a_call_raises_is_raised_to_who_waits_and_the_thread_goes_on():
    def fail():
        raise ValueError("no")

    for _ in range(3):
        with pytest.raises(ValueError, match="no"):
            in_thread(fail, name="test").result(60)
    assert in_thread(lambda: "made", name="test").result(60) == "made"


def test_a_call_sees_the_context_of_its_caller_and_leaves_none_to_the_next():
    said = contextvars.ContextVar("said", default="nothing")

    def say():
        before = said.get()
        said.set("inside")
        return before

    said.set("outside")
    assert [in_thread(say, name="test").result(60) for _ in range(2)] == ["outside", "outside"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_waits_for_no_thread_of_its_parent():
    assert run_program("""
        import os, signal
        from agentkit._sync import in_thread

        in_thread(int, name="test").result()
        if child := os.fork():
            print(os.waitpid(child, 0)[1])
        else:
            signal.alarm(30)
            os._exit(in_thread(int, name="test").result(20))
    """) == ["0"]


def test_many_nested_calls_wait_for_each_other_without_a_deadlock():
    """More blocked threads than asyncio's own pool would have (at most 32)."""
    count = 40
    all_wait = threading.Barrier(count)

    def blocking():
        all_wait.wait(timeout=30)
        return run_sync(answer)

    async def everything():
        return await asyncio.gather(*(asyncio.to_thread(blocking) for _ in range(count)))

    assert run_sync(everything) == ["unset"] * count
