"""`agentkit eval`, as a user types it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agentkit.cli import app
from agentkit.errors import AgentkitError

APP = """
import os
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict
from agentkit.testing import Reply, ScriptedChatModel

class State(TypedDict, total=False):
    question: str
    answer: str
    k: int

class Context(TypedDict, total=False):
    word: str

model = ScriptedChatModel(Reply("yes", usage=(1000, 100)))

async def answer(state, runtime):
    reply = await model.ainvoke(state["question"])
    word = (runtime.context or {}).get("word")
    return {"answer": word or reply.text}

builder = StateGraph(State, context_schema=Context)
builder.add_node("answer", answer)
builder.add_edge(START, "answer")
graph = builder.compile(name="yes_man")

async def no(inputs):
    return "no"

async def broken(inputs):
    raise OSError("no network")

async def waits(inputs):
    import asyncio
    if inputs["question"] == "question 3":
        open("waiting", "w").close()
        await asyncio.sleep(600)
    return "yes"

def made(word="no", loud=False, style=None):
    async def graph(inputs):
        return {"answer": word.upper() if loud else word}
    return graph

yes = "yes"

def unmade(word):
    raise OSError("no database")

def right(example, output):
    return output["answer"] == example.expected["answer"]

class Strict:
    name = "strict"
    def __call__(self, example, output):
        return 0
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "yes_app.py").write_text(APP)
    rows = [{"question": f"question {n}", "answer": "yes"} for n in range(8)]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    config = {"graphs": {"yes": "./yes_app.py:graph"}, "dependencies": ["."]}
    (tmp_path / "langgraph.json").write_text(json.dumps(config))
    yield tmp_path
    for name in [name for name in sys.modules if "yes_app" in name or "served_yes" in name]:
        del sys.modules[name]


def run(*words):
    return CliRunner().invoke(app, ["eval", *map(str, words)])


DATA = ("--data", "data.jsonl", "--metric", "exact_match")


@pytest.mark.parametrize("graph", ["yes", "yes_app:graph", "yes_app:builder"])
def test_a_graph_is_named_by_its_app_or_its_module(folder, graph):
    done = run(graph, *DATA)
    assert done.exit_code == 0, done.output
    assert f"{graph}: 8 examples" in done.stdout
    assert "exact_match   1.000" in done.stdout


def test_metrics_of_one_s_own_are_named_by_their_module(folder):
    done = run("yes", *DATA, "-m", "yes_app:right", "-m", "yes_app:Strict")
    assert "right         1.000" in done.stdout
    assert "strict        0.000" in done.stdout


def test_the_report_is_saved_and_a_later_one_compared_with_it(folder):
    assert run("yes_app:no", *DATA, "--out", "before.json").exit_code == 0
    words = ("--out", "after.json", "--html", "after.html", "--compare", "before.json")
    done = run("yes", *DATA, *words)
    assert "yes against yes_app:no: 8 pairs" in done.stdout
    assert "better" in done.stdout
    assert json.loads((folder / "after.json").read_text())["name"] == "yes"
    assert "Against yes_app:no" in (folder / "after.html").read_text()


def test_json_is_nothing_but_json(folder):
    run("yes_app:no", *DATA, "-o", "before.json")
    words = ("--json", "--compare", "before.json", "--price", "scripted=1,10")
    told = json.loads(run("yes", *DATA, *words).stdout)
    assert told["figures"]["scores"]["exact_match"]["mean"] == 1
    assert told["figures"]["usage"] == {
        "calls": 8,
        "input_tokens": 8000,
        "output_tokens": 800,
        "cost": 0.016,
    }
    assert told["comparison"]["exact_match"]["verdict"] == "better"
    assert told["failures"] == {}


def test_a_budget_stops_it_and_the_cache_lets_it_go_on(folder):
    words = ("yes", *DATA, "--cache", "kept", "--budget-calls", 4, "--json")
    first = json.loads(run(*words).stdout)
    assert first["figures"]["examples"] == 4
    assert first["stopped"].startswith("The budget of 4 model calls")
    second = json.loads(run(*words).stdout)
    assert (second["figures"]["examples"], second["stopped"]) == (8, "")


@pytest.mark.parametrize(
    ("words", "stopped"),
    [
        (("--budget-tokens", 3300), "The budget of 3,300 tokens"),
        (("--budget-cost", 0.006, "--price", "scripted=1,10"), "The budget of a cost of 0.006"),
    ],
)
def test_budgets_of_tokens_and_money(folder, words, stopped):
    told = json.loads(run("yes", *DATA, *words, "--json").stdout)
    assert told["figures"]["examples"] == 3
    assert told["stopped"].startswith(stopped)


def test_settings_and_other_names_of_fields_are_given_by_name(folder):
    rows = [{"asked": "How?", "gold": "no"}]
    (folder / "other.jsonl").write_text(json.dumps(rows[0]))
    words = ("--data", "other.jsonl", "--field", "question=asked", "--field", "answer=gold")
    done = run("yes", *words, "-m", "exact_match", "--context", "word=no", "--repeats", 2)
    assert done.exit_code == 0, done.output
    assert "pass^2" in done.stdout
    assert "exact_match   1.000" in done.stdout


def test_queries_are_judged_by_the_rows_of_the_database(folder):
    import sqlite3

    with sqlite3.connect("shop.sqlite") as connection:
        connection.execute("CREATE TABLE customer (name TEXT)")
    row = {"question": "How many?", "query": "SELECT count(*) FROM customer"}
    (folder / "queries.jsonl").write_text(json.dumps(row))
    (folder / "sql_app.py").write_text(
        "async def ask(inputs): return {'query': 'SELECT COUNT(name) AS n FROM customer'}"
    )
    words = ("--metric", "execution_accuracy", "--database", "shop.sqlite")
    done = run("sql_app:ask", "--data", "queries.jsonl", *words)
    assert "execution_accuracy   1.000" in done.stdout


def test_where_every_run_fails_the_status_says_so(folder):
    done = run("yes_app:broken", *DATA)
    assert done.exit_code == 1
    assert "OSError: no network" in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nobody", *DATA), "names no graph 'nobody'"),
        (("yes_app:nobody", *DATA), "'yes_app:nobody' names no graph: yes_app has no 'nobody'"),
        (("no_app:graph", *DATA), "'no_app:graph' names no graph: No module named 'no_app'"),
        (("yes", "--data", "gone.jsonl", "-m", "exact_match"), "gone.jsonl cannot be read"),
        (("yes", "--data", "data.jsonl", "-m", "nonsense"), "There is no metric 'nonsense'"),
        (("yes", *DATA, "-m", "exact_match"), "Two metrics are called 'exact_match'"),
        (("yes", *DATA, "-o", "no/where.json"), "no/where.json cannot be written"),
        (("yes", *DATA, "--html", "."), "cannot be written: it is a folder"),
        (("yes", *DATA, "--compare", "gone.json"), "No report can be read from gone.json"),
        (("yes", *DATA, "--concurrency", 0), "`concurrency` is a whole number"),
        (("yes", *DATA, "--budget-calls", 0), "A budget's calls is a number above 0"),
        (("yes", *DATA, "--budget-cost", 1), "cannot be kept to without prices="),
        (("yes", *DATA, "--price", "scripted"), "--price is a model and what a million"),
        (("yes", *DATA, "--price", "scripted=1,x"), "--price is a model and what a million"),
        (("yes", *DATA, "--field", "query"), "--field is our name and the dataset's"),
        (("yes", *DATA, "--context", "k"), "--context is a setting and its value"),
    ],
)
def test_an_error_is_told_before_anything_runs(folder, words, told):
    done = run(*words)
    assert done.exit_code == 1
    assert isinstance(done.exception, AgentkitError)
    assert told in str(done.exception)


# --- ablations


def ablate(*words):
    return CliRunner().invoke(app, ["ablate", *map(str, words)])


def test_techniques_are_compared_and_a_configuration_is_recommended(folder):
    words = ("--option", "word=no,yes_app:yes", "--option", "loud=false,true")
    done = ablate("yes_app:made", *words, "-d", "data.jsonl", "-m", "yes_app:right", "--quiet")
    assert done.exit_code == 0, done.output
    assert "Recommended: word=yes_app:yes" in done.stdout
    assert "full − loud" not in done.stdout  # with two options that is the other one alone


def test_an_ablation_is_saved_and_printed_as_json(folder):
    words = ("--option", 'word="no","yes"', "--option", 'style=null,["a", "b"]', "--combinations")
    words += ("-o", "ablation.json", "--html", "ablation.html", "--json", "--objective", "right")
    metrics = ("-m", "exact_match", "-m", "yes_app:right")
    told = json.loads(ablate("yes_app:made", *words, "-d", "data.jsonl", *metrics).stdout)
    assert told["recommended"] == "word=yes"
    assert list(told["configurations"]) == [
        "plain",
        'style=["a", "b"]',
        "word=yes",
        "full",
    ]
    assert json.loads((folder / "ablation.json").read_text())["effects"] == told["effects"]
    assert "Recommended" in (folder / "ablation.html").read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("yes_app:made", "--option", "word"), "--option is an argument and its values"),
        (("yes_app:made", "--option", "word=no"), "needs two values at least"),
        (("yes_app:nobody", "--option", "a=1,2"), "'yes_app:nobody' names no function"),
        (("made", "--option", "a=1,2"), "A function is named by module:attribute; got 'made'"),
        (("yes_app:unmade", "--option", "word=1,2"), "OSError: no database"),
        (("yes_app:made", "--option", "loud=false,true", "-o", "no/where"), "cannot be written"),
        (("yes_app:made", "--option", "a=1,2", "--objective", "x"), "objective= is one of"),
    ],
)
def test_an_error_of_an_ablation_is_told_before_anything_runs(folder, words, told):
    done = ablate(*words, *DATA)
    assert done.exit_code == 1
    assert isinstance(done.exception, AgentkitError)
    assert told in str(done.exception)


def agentkit(*words, **options):
    program = "from agentkit.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_an_error_has_no_traceback(folder):
    with agentkit("eval", "nobody", *DATA) as done:
        _, told = done.communicate(timeout=60)
    assert done.returncode == 1
    assert told.startswith("Error: langgraph.json names no graph 'nobody'")
    assert "Traceback" not in told


def test_what_is_interrupted_says_how_to_go_on(folder):
    words = ("eval", "yes_app:waits", *DATA, "--cache", "kept", "--concurrency", 1)
    os.mkfifo("waiting")
    with agentkit(*words) as running:
        Path("waiting").read_text()  # until the fourth run opens it
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "the same command goes on where this one stopped" in " ".join(told.split())
    assert "Traceback" not in told
