"""How long the Python tool takes to start and to answer, beside a bare Python process.

Every row runs the same line of code. A process's first call follows the imports, and loads and
starts what all tools share; a new tool starts its pool and a session's process, a new conversation
starts a process, and a further call finds its session. The bare processes have no sandbox, no
limits and no state: they are what a call would cost if each started a Python.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import psutil
from langchain_core.runnables import RunnableConfig

from agentkit.tools.python import PythonTool, python_tool
from benchmarks._report import median_seconds, parser, report

CODE = "sum(n * n for n in range(100))"
RESULT = "328350"

FIRST_CALL = f"""
import time
from agentkit.tools.python import python_tool
start = time.perf_counter()
assert "{RESULT}" in python_tool().invoke({{"code": "{CODE}"}})
print(time.perf_counter() - start)
"""

Call = Callable[[int], Awaitable[Any]]


def thread(name: object) -> RunnableConfig:
    return {"configurable": {"thread_id": str(name)}}


async def check(tool: PythonTool, code: str, name: object) -> None:
    assert RESULT in await tool.ainvoke({"code": code}, thread(name))


async def new_tool(_number: int) -> None:
    async with python_tool() as tool:
        await check(tool, CODE, "a")


def bare_process(*options: str) -> Call:
    async def run(_number: int) -> None:
        command = [sys.executable, *options, "-c", f"print({CODE})"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
        assert RESULT in done.stdout.decode()

    return run


def squares() -> int:
    """The sum, computed by the host."""
    return int(RESULT)


async def measure(*, times: int) -> list[dict[str, Any]]:
    """A row for each way of running the code: milliseconds a call."""
    async with python_tool(functions=[squares]) as tool:

        async def new_conversation(number: int) -> None:
            await check(tool, CODE, number)

        async def further_call(_number: int) -> None:
            await check(tool, CODE, "a")

        async def calling_a_function(_number: int) -> None:
            await check(tool, "squares()", "a")

        ways: dict[str, Call] = {
            "new tool": new_tool,
            "new conversation": new_conversation,
            "further call": further_call,
            "further call, with a function": calling_a_function,
            "python -c": bare_process(),
            "python -I -S -c": bare_process("-I", "-S"),
        }
        return [
            {"what": name, "ms": await median_seconds(way, times=times) * 1000}
            for name, way in ways.items()
        ]


async def resident_mebibytes() -> float:
    """Memory of a session's process after a call."""
    before = {child.pid for child in psutil.Process().children()}
    async with python_tool() as tool:
        await check(tool, CODE, "a")
        (worker,) = [each for each in psutil.Process().children() if each.pid not in before]
        return float(worker.memory_info().rss / 2**20)


def first_call(*, times: int) -> dict[str, Any]:
    """Milliseconds of the first call in a fresh process, its imports done."""
    command = [sys.executable, "-c", FIRST_CALL]
    seconds = [
        float(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(times)
    ]
    return {"what": "first call of a process", "ms": statistics.median(seconds) * 1000}


async def everything(*, times: int, processes: int) -> list[dict[str, Any]]:
    first = await asyncio.to_thread(first_call, times=processes)
    memory = {"what": "a session's process", "MiB": await resident_mebibytes()}
    return [first, *await measure(times=times), memory]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--times", type=int, default=50)
    options.add_argument("--processes", type=int, default=5)
    given = options.parse_args()
    settings = {"times": given.times, "processes": given.processes}
    rows = asyncio.run(everything(**settings))
    report("python_sandbox", rows, settings=settings, json_file=given.json)


if __name__ == "__main__":
    main()
