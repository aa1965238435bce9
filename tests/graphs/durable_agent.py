"""An agent that is killed in the middle of its work: `python durable_agent.py KIND WHERE FOLDER`.

`KIND` is the checkpointer (`sqlite`, `postgresql`), `WHERE` the database and `FOLDER` where the
tools write. The first process dies in the second tool; the next one goes on. Whether the tools are
called `together` is the fourth argument.
"""

import os
import sys
import time
from pathlib import Path

from langchain_core.tools import tool

from agentkit import create_tool_agent
from agentkit.testing import Reply, Script, ScriptedChatModel
from agentkit.tools import declared

THREAD = {"configurable": {"thread_id": "1"}}


def opened(kind, where):
    if kind == "sqlite":
        from langgraph.checkpoint.sqlite import SqliteSaver

        return SqliteSaver.from_conn_string(where)
    from langgraph.checkpoint.postgres import PostgresSaver

    return PostgresSaver.from_conn_string(where)


def main(kind, where, folder, together):
    log = Path(folder) / "log.txt"

    def written(line):
        with log.open("a") as file:
            file.write(f"{line}\n")

    @tool
    def pay(amount: int) -> str:
        """Pay an amount."""
        written(f"paid {amount}")
        return "paid"

    @tool
    def report() -> str:
        """Report what was paid."""
        if (Path(folder) / "again").exists():
            written("reported")
            return "reported"
        (Path(folder) / "again").touch()
        wait_until_kept()
        os._exit(9)

    def wait_until_kept():
        """Until the checkpointer holds what `pay` returned."""
        ends = time.monotonic() + 20
        while time.monotonic() < ends:
            with opened(kind, where) as saver:
                saved = saver.get_tuple(THREAD)
                told = repr(saved.checkpoint["channel_values"]) + repr(saved.pending_writes)
            if "paid" in told:
                return
            time.sleep(0.02)

    one = {"name": "pay", "args": {"amount": 5}}
    two = {"name": "report", "args": {}}

    def reply(messages):
        done = {m.name for m in messages if m.type == "tool"}
        if together:
            return "Paid and reported." if done else Reply(tool_calls=[one, two])
        left = [call for call in (one, two) if call["name"] not in done]
        return Reply(tool_calls=left[:1]) if left else "Paid and reported."

    with opened(kind, where) as saver:
        saver.setup()
        graph = create_tool_agent(
            ScriptedChatModel(Script(reply)),
            [declared(pay, permission="write"), declared(report, permission="read")],
            approved=frozenset({"pay"}),
            checkpointer=saver,
        )
        resumed = (Path(folder) / "again").exists()
        given = None if resumed else {"question": "Pay 5 and report it."}
        result = graph.invoke(given, THREAD, durability="sync")
        written(result["answer"])


if __name__ == "__main__":
    main(*sys.argv[1:4], together=sys.argv[4] == "together")
