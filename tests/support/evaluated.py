"""Evaluates a graph that kills its process at one question; prints items done and items kept."""

import os
import signal
import sys
from pathlib import Path

from agentkit.evaluation import evaluate

FOLDER = Path(sys.argv[1])
ROWS = [{"question": str(number)} for number in range(10)]


async def graph(inputs):
    with (FOLDER / "asked.txt").open("a") as asked:
        asked.write(inputs["question"] + "\n")
    if inputs["question"] == os.environ["KILLED_AT"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"answer": "yes"}


report = evaluate(graph, ROWS, lambda example, output: 1, cache=FOLDER / "cache", concurrency=1)
print(len(report.items), sum(trial.run.kept for trial in report.trials))  # noqa: T201
