"""What a turn of a conversation costs as the conversation grows to thousands of turns.

The model replies at once, so all that is measured is ours and LangGraph's: reading and writing the
checkpoint in SQLite, the window, the summary. For each stretch of the conversation: the median
milliseconds of a turn, the tokens of the largest prompt, what the process holds in memory at its
end, and what the checkpointer's file takes on disk a turn.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from langchain_core.messages import AIMessage
from langgraph.checkpoint.sqlite import SqliteSaver

from agentkit import create_memory_chat
from agentkit.testing import Script, ScriptedChatModel
from benchmarks._report import parser, report

THREAD: Any = {"configurable": {"thread_id": "growth"}}
MAX_TOKENS = 2_000
SAID = "This is message {n} of a long conversation, about matter {matter}, in a few more words."
REPLY = "What was said about the matter is noted, and there is something more to say about it."


def measure(turns: int, stretches: int) -> list[dict[str, Any]]:
    """The conversation in equal stretches.

    Args:
        turns: How many turns it has.
        stretches: In how many stretches it is measured.
    """
    rows: list[dict[str, Any]] = []
    size = turns // stretches
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "chat.sqlite"
        with SqliteSaver.from_conn_string(str(file)) as saver:
            graph = create_memory_chat(_model(), checkpointer=saver, max_tokens=MAX_TOKENS)
            for stretch in range(stretches):
                before = file.stat().st_size if file.exists() else 0
                seconds, largest = _talked(graph, range(stretch * size, (stretch + 1) * size))
                rows.append(
                    {
                        "turns": (stretch + 1) * size,
                        "ms a turn": round(statistics.median(seconds) * 1e3, 2),
                        "largest prompt": largest,
                        "process MiB": round(psutil.Process().memory_info().rss / 2**20),
                        "file KiB a turn": round((file.stat().st_size - before) / size / 1024, 1),
                    }
                )
    return rows


def _model() -> ScriptedChatModel:
    script = Script(REPLY, record=False)
    script.when(None, system="Keep the summary", reply={"summary": "Matters were told. " * 20})
    return ScriptedChatModel(script)


def _talked(graph: Any, numbers: range) -> tuple[list[float], int]:
    """Seconds of each turn, and tokens of the largest prompt."""
    seconds, largest = [], 0
    for n in numbers:
        started = time.perf_counter()
        result = graph.invoke({"question": SAID.format(n=n, matter=n * 7919 % 101)}, THREAD)
        seconds.append(time.perf_counter() - started)
        last: AIMessage = result["messages"][-1]
        if last.usage_metadata:
            largest = max(largest, last.usage_metadata["input_tokens"])
    return seconds, largest


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--turns", type=int, default=10_000)
    arguments.add_argument("--stretches", type=int, default=10)
    given: argparse.Namespace = arguments.parse_args()
    rows = measure(given.turns, given.stretches)
    settings = {"turns": given.turns, "max_tokens": MAX_TOKENS}
    report("a conversation as it grows", rows, settings=settings, json_file=given.json)


if __name__ == "__main__":
    main()
