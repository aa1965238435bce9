"""Results that are kept: what is not run again, what is, and what a killed process loses."""

import datetime
import decimal
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.vectorstores import InMemoryVectorStore
from pydantic import BaseModel

from agentkit import create_rag
from agentkit.errors import ConfigurationError
from agentkit.evaluation import Score, evaluate
from agentkit.retrieval import MultiQuery
from agentkit.testing import HashEmbeddings, Reply, Script, ScriptedChatModel

ROWS = [{"question": f"question {n}", "answer": "yes"} for n in range(6)]
PROGRAM = Path(__file__).parents[1] / "support" / "evaluated.py"


def right(example, output):
    return float(output["answer"] == example.expected["answer"])


def counted(answer="yes", fails=()):
    """A graph, and the questions that it was asked."""
    asked = []

    async def graph(inputs):
        asked.append(inputs["question"])
        if inputs["question"] in fails:
            raise OSError("busy")
        return {"answer": answer}

    return graph, asked


def test_what_is_kept_is_not_run_again(tmp_path):
    graph, asked = counted()
    first = evaluate(graph, ROWS[:4], right, cache=tmp_path / "new" / "folder")
    second = evaluate(graph, ROWS, right, cache=tmp_path / "new" / "folder")
    assert len(asked) == 6
    assert second.scores("right") == [1.0] * 6
    kept = [trial.run.kept for trial in second.trials]
    assert kept == [True] * 4 + [False] * 2
    seconds = [trial.run.seconds for trial in first.trials]
    assert [trial.run.seconds for trial in second.trials[:4]] == seconds
    assert any("4 of 6 runs are those of an earlier evaluation" in note for note in second.notes)


def test_one_more_metric_takes_no_more_runs(tmp_path):
    graph, asked = counted()
    evaluate(graph, ROWS, right, cache=tmp_path)
    report = evaluate(graph, ROWS, [right, lambda e, o: 0.5], cache=tmp_path)
    assert len(asked) == 6
    assert report.scores("<lambda>") == [0.5] * 6


def test_a_metric_that_asks_no_model_is_made_anew_each_time(tmp_path):
    strict = {"is": False}

    def judged(example, output):
        return 0 if strict["is"] else 1

    graph, _ = counted()
    assert evaluate(graph, ROWS[:1], judged, cache=tmp_path).scores("judged") == [1]
    strict["is"] = True
    assert evaluate(graph, ROWS[:1], judged, cache=tmp_path).scores("judged") == [0]


def test_a_score_that_took_calls_of_a_model_is_kept_with_what_it_took(tmp_path):
    judge = ScriptedChatModel(Reply("good", usage=(30, 2)))

    async def judged(example, output):
        reply = await judge.ainvoke("Is it good?")
        return Score(0.75, reply.text)

    graph, _ = counted()
    first = evaluate(graph, ROWS, judged, cache=tmp_path)
    second = evaluate(graph, ROWS, judged, cache=tmp_path)
    assert len(judge.script.calls) == 6
    assert second.items[0].trials[0].scores == {"judged": Score(0.75, "good")}
    assert second.judging == first.judging
    assert second.spent.calls == 0


def test_other_expectations_are_judged_again_but_not_run_again(tmp_path):
    judge = ScriptedChatModel("good")

    async def judged(example, output):
        await judge.ainvoke(f"Is it {example.expected['answer']}?")
        return 1

    graph, asked = counted()
    for answer in ("yes", "no"):
        evaluate(graph, [{**ROWS[0], "answer": answer}], judged, cache=tmp_path)
    assert len(asked) == 1
    assert len(judge.script.calls) == 2


def test_runs_that_failed_are_made_again(tmp_path):
    fails = {"question 2"}
    graph, asked = counted(fails=fails)
    assert list(evaluate(graph, ROWS, right, cache=tmp_path).failures) == ["3"]
    fails.clear()
    assert evaluate(graph, ROWS, right, cache=tmp_path).failures == {}
    assert asked[6:] == ["question 2"]


def test_repeated_runs_are_kept_apart(tmp_path):
    model = ScriptedChatModel(["yes", "no"])

    async def graph(inputs):
        return (await model.ainvoke("?")).text

    for _ in range(2):
        report = evaluate(graph, ROWS[:1], right, repeats=2, concurrency=1, cache=tmp_path)
        assert [trial.scores["right"].value for trial in report.trials] == [1, 0]


def test_what_is_kept_counts_against_no_budget_and_is_in_the_report_when_it_is_used_up(tmp_path):
    model = ScriptedChatModel("yes")

    async def graph(inputs):
        return (await model.ainvoke("?")).text

    evaluate(graph, ROWS[3:], right, cache=tmp_path)
    report = evaluate(graph, ROWS, right, cache=tmp_path, budget=1)
    assert [item.example.id for item in report.items] == ["1", "4", "5", "6"]
    assert report.spent.calls == 1


def test_an_evaluation_that_a_budget_stopped_goes_on_where_it_was(tmp_path):
    model = ScriptedChatModel("yes")

    async def graph(inputs):
        return (await model.ainvoke("?")).text

    done = [len(evaluate(graph, ROWS, right, cache=tmp_path, budget=2).items) for _ in range(3)]
    assert done == [2, 4, 6]
    assert len(model.script.calls) == 6


# --- what tells graphs apart


def test_a_graph_that_changed_is_run_again(tmp_path):
    def made(answer):
        async def graph(inputs):
            return {"answer": answer}

        return graph

    assert evaluate(made("yes"), ROWS[:1], right, cache=tmp_path).scores("right") == [1]
    assert evaluate(made("no"), ROWS[:1], right, cache=tmp_path).scores("right") == [0]
    assert evaluate(made("yes"), ROWS[:1], right, cache=tmp_path).trials[0].run.kept


def test_the_version_tells_apart_what_cannot_be_seen(tmp_path):
    graph, asked = counted()
    for version in ("monday", "tuesday", "monday"):
        evaluate(graph, ROWS[:1], right, cache=tmp_path, version=version)
    assert len(asked) == 2


def store_of(*texts):
    store = InMemoryVectorStore(HashEmbeddings())
    store.add_documents([Document(text, id=text) for text in texts])
    return store


def test_a_graph_of_agentkit_is_run_again_when_its_prompts_model_options_or_documents_change(
    tmp_path,
):
    script = Script().when("Write search queries", reply={"queries": ["a"]}).when(reply="Yes [1]")

    def kept(store=None, context=None, name="small", **options):
        model = ScriptedChatModel(script, model_name=name)
        graph = create_rag(model, store or store_of("a"), **options)
        report = evaluate(
            graph, ROWS[:1], lambda example, output: 1, cache=tmp_path, context=context
        )
        assert report.failures == {}
        return report.trials[0].run.kept

    changed = [
        {},
        {"name": "large"},
        {"prompts": {"rag.answer": "Be brief."}},
        {"k": 3},
        {"rewrite": MultiQuery()},
        {"rewrite": MultiQuery(n=5)},
        {"store": store_of("a", "b")},
        {"context": {"k": 2}},
        {"context": {"temperature": None, "k": 4}},
    ]
    assert [kept(**options) for options in changed] == [False] * len(changed)
    assert [kept(**options) for options in changed] == [True] * len(changed)


# --- what can be kept


class Answer(BaseModel):
    text: str


def test_outputs_are_read_again_as_they_were(tmp_path):
    output = {
        "answer": "yes",
        "documents": [Document("Three weeks", id="loans", metadata={"page": 3})],
        "messages": [AIMessage("yes", id="1")],
        "rows": [(1, decimal.Decimal("1.5"), datetime.date(2024, 5, 1), None), ()],
        "found": {"tags": {"a", "b"}, 3: b"x"},
    }

    def graph(inputs):
        return output

    seen = []

    def metric(example, output):
        seen.append(output)
        return 1

    for _ in range(2):
        evaluate(graph, ROWS[:1], metric, cache=tmp_path)
    assert seen == [output, output]


def test_a_result_that_cannot_be_kept_is_scored_told_and_run_again(tmp_path):
    asked = []

    def graph(inputs):
        asked.append(1)
        return {"answer": "yes", "detail": lambda: None}

    for _ in range(2):
        report = evaluate(graph, ROWS[:2], right, cache=tmp_path)
        assert report.scores("right") == [1, 1]
        assert sum("cannot be kept in the cache" in note for note in report.notes) == 1
    assert len(asked) == 4


# --- damage


def database(folder):
    return sqlite3.connect(folder / "evaluation.sqlite", isolation_level=None)


@pytest.mark.parametrize("content", [b"", b"torn", b"\x91\x01", b"\x80"])
def test_an_entry_that_cannot_be_read_is_made_anew(tmp_path, content):
    graph, asked = counted()
    evaluate(graph, ROWS, right, cache=tmp_path)
    with database(tmp_path) as kept:
        assert kept.execute("UPDATE kept SET content = ?", [content]).rowcount == 6
    report = evaluate(graph, ROWS, right, cache=tmp_path)
    assert len(asked) == 12
    assert report.scores("right") == [1] * 6
    assert any("An entry of the cache cannot be read" in note for note in report.notes)
    assert all(trial.run.kept for trial in evaluate(graph, ROWS, right, cache=tmp_path).trials)


@pytest.mark.parametrize("torn", [b"no database at all, but text " * 99, None])
def test_a_damaged_file_is_told(tmp_path, torn):
    graph, _ = counted()
    evaluate(graph, ROWS, right, cache=tmp_path)
    file = tmp_path / "evaluation.sqlite"
    content = file.read_bytes()
    file.write_bytes(torn or content[: len(content) // 2 - 100])
    with pytest.raises(ConfigurationError, match=r"If it is damaged, delete it"):
        evaluate(graph, ROWS, right, cache=tmp_path)


def test_a_disk_that_fills_up_loses_nothing_but_the_cache(tmp_path):
    graph, _ = counted()
    evaluate(graph, ROWS[:1], right, cache=tmp_path)
    with database(tmp_path) as kept:
        kept.execute(
            "CREATE TRIGGER full BEFORE INSERT ON kept "
            "BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END"
        )
    report = evaluate(graph, ROWS, right, cache=tmp_path)
    assert report.scores("right") == [1] * 6
    assert any("database or disk is full" in note for note in report.notes)


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("x")
    graph, asked = counted()
    with pytest.raises(ConfigurationError, match="Nothing can be kept in cache="):
        evaluate(graph, ROWS, right, cache=tmp_path / "file" / "cache")
    assert asked == []


def test_a_killed_process_loses_only_the_run_in_flight(tmp_path):
    def run(**environment):
        return subprocess.run(
            [sys.executable, PROGRAM, tmp_path],
            env={**os.environ, **environment},
            check=False,
            capture_output=True,
            text=True,
        )

    killed = run(KILLED_AT="4")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = run(KILLED_AT="")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["10", "4"]
    asked = (tmp_path / "asked.txt").read_text().split()
    assert asked == [str(n) for n in [0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9]]
