"""A newcomer's first hour, on the embedded models: `python scripts/first_hour.py [FOLDER]`.

An app is made, files of one's own are read, a question is asked, the graph is looked at, a prompt
is changed, the graph is measured, tuned and served. Each command is shown, with its output and
seconds.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = Path(sys.executable).parent

NOTES = {
    "bees.md": "# Bees\n\nA hive holds up to sixty thousand bees in June. The queen lives for "
    "three to five years. Drones have no sting.\n",
    "honey.md": "# Honey\n\nHoney of acacia stays liquid for two years. Honey of rape sets "
    "within three weeks. It takes two million flowers to make one pound of honey.\n",
    "winter.md": "# Winter\n\nA colony needs fifteen kilograms of food for the winter. The "
    "entrance is narrowed in October, so that no mouse comes in.\n",
}
QUESTIONS = [
    ("How many bees does a hive hold in June?", "sixty thousand"),
    ("How long does the queen live?", "three to five years"),
    ("Do drones have a sting?", "no sting"),
    ("How long does acacia honey stay liquid?", "two years"),
    ("When does rape honey set?", "within three weeks"),
    ("How many flowers does a pound of honey take?", "two million"),
    ("How much food does a colony need for the winter?", "fifteen kilograms"),
    ("When is the entrance narrowed?", "October"),
]
LOOK = """
from graphs.rag import graph
from agentkit import prompts_of
print(graph.get_graph().draw_mermaid())
print(*prompts_of(graph), sep="\\n")
"""
CHANGE = """
from agentkit import PromptSet, prompts_of
from graphs.rag import graph
text = prompts_of(graph)["rag.extract"]
changed = text.instructions + " Prefer a sentence that holds a number."
PromptSet({"rag.extract": {"instructions": changed, "demos": text.demos}}).save("mine.json")
"""


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    run("agentkit", "init", "hives")
    os.chdir("hives")
    write_files()
    run("agentkit", "ingest", "notes", "--index", "index")
    run("agentkit", "ask", QUESTIONS[0][0], "--index", "index")
    run("python", "-c", LOOK)
    run("python", "-c", CHANGE)
    run("agentkit", "prompts", "diff", "mine.json", "--graph", "rag")
    run("agentkit", "ask", QUESTIONS[4][0], "--index", "index", "--prompts", "mine.json")
    measure = ["--data", "questions.jsonl", "--metric", "contains", "--concurrency", "1"]
    run("agentkit", "eval", "rag", *measure, "--out", "before.json", "--html", "before.html")
    tune = ["--budget-calls", "60", "--out", "tuned.json", "--keep-unproven", "--quiet"]
    run("agentkit", "optimize", "rag", *measure, *tune)
    run("agentkit", "prompts", "show", "tuned.json")
    serve()
    print("That was the first hour.")


def write_files() -> None:
    """The newcomer's own notes, in place of the example's, and questions about them."""
    for place in (Path("notes"), Path("data/documents")):
        place.mkdir(exist_ok=True)
        for old in place.iterdir():
            old.unlink()
        for name, text in NOTES.items():
            (place / name).write_text(text, encoding="utf-8")
    lines = [json.dumps({"question": asked, "answer": answer}) for asked, answer in QUESTIONS]
    Path("questions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    Path(".env").touch()


def run(program: str, *arguments: str) -> None:
    """Run a command, and show it with what it prints."""
    words = ["…" if "\n" in each else each for each in (program, *arguments)]
    print("\n$", " ".join(f'"{each}"' if " " in each else each for each in words), flush=True)
    started = time.monotonic()
    subprocess.run([BIN / program, *arguments], check=True, env=environment())
    print(f"({time.monotonic() - started:.0f} s)", flush=True)


def environment() -> dict[str, str]:
    """What commands are run with: this folder's modules, and no tracing."""
    return {**os.environ, "PYTHONPATH": str(Path.cwd()), "LANGSMITH_TRACING": "false"}


def serve() -> None:
    """Serve the app, and ask it a question as a client would."""
    from langgraph_sdk import get_client

    from agentkit.serving import development_server

    async def asked(url: str) -> dict:
        given = {"question": QUESTIONS[1][0]}
        return await get_client(url=url).runs.wait(None, "rag", input=given)

    print("\n$ langgraph dev", flush=True)
    with development_server(Path("langgraph.json")) as url:
        print(asyncio.run(asked(url))["answer"], flush=True)


if __name__ == "__main__":
    main()
