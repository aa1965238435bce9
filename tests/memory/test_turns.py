"""One run of a conversation after the other."""

import asyncio
import threading

import pytest

from agentkit.errors import ConversationBusyError
from agentkit.memory.turns import Turns


async def test_turns_of_a_thread_come_one_after_the_other():
    turns, inside, seen = Turns(), [], []

    async def take(number):
        async with turns.ataken("a", timeout=30):
            inside.append(number)
            await asyncio.sleep(0)
            seen.append(list(inside))
            inside.remove(number)

    await asyncio.gather(*(take(n) for n in range(50)))
    assert seen == [[n] for n in range(50)]


async def test_other_threads_do_not_wait():
    turns = Turns()
    async with turns.ataken("a", timeout=1), turns.ataken("b", timeout=1):
        pass


async def test_an_async_run_waits_for_a_sync_one_of_another_thread():
    turns, order = Turns(), []
    taken, done = threading.Event(), threading.Event()

    def take():
        with turns.taken("a", timeout=30):
            taken.set()
            done.wait(30)
            order.append("sync")

    async def ask():
        async with turns.ataken("a", timeout=30):
            order.append("async")

    thread = threading.Thread(target=take)
    thread.start()
    await asyncio.to_thread(taken.wait, 30)
    waiting = asyncio.create_task(ask())
    await asyncio.sleep(0)
    done.set()
    await waiting
    assert order == ["sync", "async"]


async def test_who_waits_too_long_is_told_and_holds_up_nobody():
    turns = Turns()
    async with turns.ataken("a", timeout=1):
        with pytest.raises(ConversationBusyError, match=r"'a' has not ended within 0\.01"):
            async with turns.ataken("a", timeout=0.01):
                pass
        with (
            pytest.raises(ConversationBusyError, match="turn_timeout"),
            turns.taken("a", timeout=0.01),
        ):
            pass
    async with turns.ataken("a", timeout=0):
        pass
    assert turns._waiting == {}


async def test_who_is_cancelled_while_waiting_holds_up_nobody():
    turns = Turns()

    async def take():
        async with turns.ataken("a", timeout=30):
            pass

    async with turns.ataken("a", timeout=1):
        waiting = asyncio.create_task(take())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert turns._waiting == {}


async def test_a_failing_run_gives_the_turn_on():
    turns = Turns()
    with pytest.raises(ValueError, match="broken"):
        async with turns.ataken("a", timeout=1):
            raise ValueError("broken")
    async with turns.ataken("a", timeout=0):
        pass
