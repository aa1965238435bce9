"""Install the built wheel with each extra alone, and use what the extra is for.

In a new virtual environment for each: every public name is imported or says which extra it needs;
the extra's own program works; the programs of other extras work too, or say which extra they need.
Prints a line an extra with seconds and megabytes. `python scripts/extras.py [EXTRA …]`.
"""

import re
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from collections.abc import Mapping
from pathlib import Path

PROJECT = Path(__file__).parent.parent
TOGETHER = "all"  # which `make test` uses

IMPORTS = """
import importlib
from agentkit.errors import MissingExtraError
for name in ("", ".retrieval", ".tools", ".middleware", ".memory", ".local", ".testing",
             ".evaluation", ".optimization", ".serving"):
    package = importlib.import_module("agentkit" + name)
    for each in getattr(package, "__all__", ()):
        try:
            getattr(package, each)
        except MissingExtraError:
            pass
        except ImportError as error:
            raise SystemExit(f"{package.__name__}.{each}: {error}") from error
"""

PROGRAMS = {
    "": """
from agentkit import create_rag
from agentkit.testing import Script, ScriptedChatModel
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
class Shelf(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager):
        return [Document("Books may be kept for four weeks.")]
graph = create_rag(ScriptedChatModel(Script(["Four weeks [1]."])), Shelf())
assert graph.invoke({"question": "How long?"})["answer"] == "Four weeks [1]."
""",
    "index": """
from agentkit import Index
from agentkit.testing import HashEmbeddings
from langchain_core.documents import Document
index = Index.open("index", embeddings=HashEmbeddings())
index.add([Document("Books may be kept for four weeks.")])
assert index.as_retriever().invoke("books")
""",
    "ingest": """
from agentkit.retrieval.splitting import Splitter
Splitter(200, 32)
from agentkit.tools import from_llama_index
""",
    "local": """
from agentkit.local.engine import Engine
import xllamacpp, tokenizers
""",
    "sql": """
import sqlite3
sqlite3.connect("shop.db").execute("CREATE TABLE items (name TEXT)")
from agentkit import SQLDatabase
database = SQLDatabase("sqlite:///shop.db")
assert database.run("SELECT count(*) FROM items").rows == [(0,)]
""",
    "postgresql": "import psycopg",
    "mysql": "import pymysql",
    "duckdb": """
from agentkit import SQLDatabase
import duckdb
duckdb.connect("shop.duckdb").execute("CREATE TABLE items (name TEXT)").close()
assert SQLDatabase("duckdb:///shop.duckdb").run("SELECT count(*) FROM items").rows == [(0,)]
""",
    "cypher": """
import ladybug
made = ladybug.Connection(ladybug.Database("graph.lbdb"))
made.execute("CREATE NODE TABLE A (id INT64 PRIMARY KEY)")
from agentkit import LadybugDatabase
assert LadybugDatabase("graph.lbdb").run("MATCH (a:A) RETURN count(*)").rows == [(0,)]
""",
    "neo4j": """
from agentkit import Neo4jDatabase
""",
    "web": """
from agentkit.tools import http_request, read_page, web_search, wikipedia
web_search(), read_page(), wikipedia(), http_request(["example.org"])
""",
    "python": """
from agentkit.tools import python_tool
with python_tool() as tool:
    assert "42" in tool.invoke({"code": "6 * 7"})
""",
    "mcp": """
from agentkit.serving.mcp import mcp_server
from agentkit.tools.mcp import mcp_tools
""",
    "memory": """
from agentkit.memory import open_memory
with open_memory("memory.db") as memory:
    assert memory
""",
    "openai": """
from agentkit import chat_model
chat_model("openai:gpt-5-mini", api_key="none")
""",
    "rerank": """
from agentkit.retrieval.reranking import CrossEncoderReranker
import rerankers
""",
    "testing": """
from agentkit.testing import ModelServer, Script
with ModelServer(Script(["Hello."])) as server:
    assert server.base_url
""",
    "view": """
from agentkit.serving import view_app
""",
    "studio": """
import langgraph_api, langgraph_cli
""",
    "eval": """
from agentkit.evaluation.statistics import interval
assert interval([0.0, 1.0, 1.0]).mean > 0.6
import ir_measures
""",
    "optimize": """
from agentkit.optimization import optimize
import dspy, gepa
""",
}


def main() -> None:
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    known = ["", *(name for name in extras if name != TOGETHER)]
    if missing := sorted({*known} ^ {*PROGRAMS}):
        sys.exit(f"No program, or no extra: {', '.join(missing)}.")
    wanted = sys.argv[1:] or known
    with tempfile.TemporaryDirectory() as folder:
        wheel = built_wheel(Path(folder))
        for extra in wanted:
            check(extra, wheel, extras)
    print("Every extra works alone.")


def built_wheel(folder: Path) -> Path:
    """The project's wheel, built anew."""
    run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(PROJECT)])
    (wheel,) = folder.glob("*.whl")
    return wheel


def check(extra: str, wheel: Path, extras: Mapping[str, list[str]]) -> None:
    """Install an extra alone, and run all programs."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        venv.create(folder, with_pip=True)
        python = f"{folder}/bin/python"
        spec = f"{wheel}[{extra}]" if extra else str(wheel)
        constraints = str(PROJECT / "constraints.txt")
        run([python, "-m", "pip", "install", "-q", "-c", constraints, spec])
        seconds = time.monotonic() - started
        size = sum(each.stat().st_size for each in Path(folder).rglob("*") if each.is_file())
        run([python, "-c", IMPORTS])
        own = with_included(extra, extras)
        for name, program in PROGRAMS.items():
            told = output_of(python, program)
            if told and (
                name in own or not re.search("MissingExtraError|ModuleNotFoundError", told)
            ):
                sys.exit(f"With [{extra}], the program of [{name}] fails:\n{told}")
    print(f"{extra or 'no extra':12} {seconds:5.0f} s {size / 2**20:6.0f} MB", flush=True)


def with_included(extra: str, extras: Mapping[str, list[str]]) -> set[str]:
    """An extra with the extras that it includes, and what needs none."""
    included = [re.match(r"agentkit-graphs\[([\w,]+)\]", each) for each in extras.get(extra, ())]
    names = [name for found in included if found for name in found[1].split(",")]
    return {"", extra, *(each for name in names for each in with_included(name, extras))}


def output_of(python: str, program: str) -> str:
    """What a program says when it fails; nothing when it works."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [python, "-c", program], cwd=folder, capture_output=True, text=True, check=False
        )
        return done.stderr if done.returncode else ""


def run(command: list[str]) -> None:
    """Run a command that has to work."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[:6])} … failed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
