"""Putting saved prompts to use and taking them back, by code and by command."""

import json

import pytest
from typer.testing import CliRunner

from agentkit import PromptSet
from agentkit.cli import app
from agentkit.errors import ConfigurationError, PromptMismatchError
from agentkit.graphs.context import GraphContext
from agentkit.optimization.files import apply_prompts, roll_back_prompts
from agentkit.prompts import Prompt, Tuning

TELL = Prompt("test.tell", "Tell.", {"topic": str}, str)
APP = """
from agentkit import create_rag
from agentkit.testing import ScriptedChatModel, Script
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

class Shelf(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager):
        return [Document("Oslo is the capital of Norway.", id="1")]

def reply(messages):
    return "Oslo [1]." if "Name it" in messages[0].text else "Perhaps Oslo [1]."

model = ScriptedChatModel(Script(reply))
graph = create_rag(model, Shelf(), rewrite=(), answer="generative")
def is_oslo(example, output):
    return output["answer"] == "Oslo [1]."
"""


def saved(path, text, **fields):
    tuning = Tuning("g", {"test.tell": TELL.fingerprint}, "gepa", **fields) if fields else None
    PromptSet({"test.tell": text}, tuning=tuning).save(path)
    return path


def text_of(path):
    return PromptSet.load(path)["test.tell"].instructions


class TestFiles:
    def test_what_was_applied_can_be_rolled_back_step_by_step(self, tmp_path):
        target = tmp_path / "prompts.json"
        first, second, third = (saved(tmp_path / f"{n}.json", f"Text {n}.") for n in "123")

        assert apply_prompts(first, target) is None
        apply_prompts(second, target)
        kept = apply_prompts(third, target)
        assert text_of(target) == "Text 3."
        assert text_of(kept) == "Text 2."
        roll_back_prompts(target)
        assert text_of(target) == "Text 2."
        roll_back_prompts(target)
        assert text_of(target) == "Text 1."
        with pytest.raises(ConfigurationError, match="no prompts from before"):
            roll_back_prompts(target)

    def test_the_last_version_is_put_back_whatever_else_lies_there(self, tmp_path):
        target = tmp_path / "prompts.json"
        apply_prompts(saved(tmp_path / "1.json", "Text 1."), target)
        history = tmp_path / "prompts.json.history"
        history.mkdir()
        for name in ("notes", "9999", "²"):
            saved(history / f"{name}.json", f"Text {name}.")

        kept = apply_prompts(saved(tmp_path / "2.json", "Text 2."), target)
        assert kept.name == "10000.json"
        roll_back_prompts(target)
        assert text_of(target) == "Text 1."
        assert not kept.exists()
        assert (history / "notes.json").exists()

    def test_what_is_no_prompt_set_is_not_overwritten(self, tmp_path):
        target = tmp_path / "notes.json"
        target.write_text("{}")
        with pytest.raises(ConfigurationError, match="not a prompt set"):
            apply_prompts(saved(tmp_path / "new.json", "New."), target)

        assert target.read_text() == "{}"

    def test_a_set_for_other_prompts_is_not_applied(self, tmp_path):
        source = saved(tmp_path / "new.json", "New.", date="2026-01-01")
        reworded = Prompt("test.tell", "Tell all.", {"topic": str}, str)
        reshaped = Prompt("test.tell", "Tell.", {"subject": str}, str)

        with pytest.raises(PromptMismatchError, match="worded otherwise here"):
            apply_prompts(source, tmp_path / "p.json", known={"test.tell": reworded})
        with pytest.raises(PromptMismatchError, match="other inputs or outputs"):
            apply_prompts(
                source,
                tmp_path / "p.json",
                known={"test.tell": reshaped},
                on_mismatch="ignore",
            )
        apply_prompts(
            source, tmp_path / "p.json", known={"test.tell": reworded}, on_mismatch="ignore"
        )


class TestTuning:
    def test_it_is_kept_in_the_file(self, tmp_path):
        path = saved(tmp_path / "p.json", "New.", scores={"before": 0.1}, settings={"seed": 3})
        tuning = PromptSet.load(path).tuning

        assert tuning.optimizer == "gepa"
        assert tuning.scores == {"before": 0.1}
        assert tuning.settings == {"seed": 3}

    def test_what_a_later_version_adds_is_passed_over(self, tmp_path):
        path = saved(tmp_path / "p.json", "New.", date="today")
        content = json.loads(path.read_text())
        content["tuning"]["mood"] = "good"
        path.write_text(json.dumps(content))

        assert PromptSet.load(path).tuning.date == "today"

    @pytest.mark.parametrize("told", [[], {"graph": "g"}, {"graph": 1, "fingerprints": 2}])
    def test_one_that_is_none_is_refused(self, told, tmp_path):
        path = saved(tmp_path / "p.json", "New.")
        path.write_text(json.dumps({**json.loads(path.read_text()), "tuning": told}))
        with pytest.raises(ConfigurationError, match=r"tuned as it should|'fingerprints'"):
            PromptSet.load(path)

    def test_a_graph_warns_of_a_set_for_prompts_that_were_worded_otherwise(self, tmp_path):
        path = saved(tmp_path / "p.json", "New.", date="2026-01-01")
        reworded = Prompt("test.tell", "Tell all.", {"topic": str}, str)

        with pytest.warns(UserWarning, match="Evaluate the tuned texts again"):
            GraphContext.built([reworded], model="local", prompts=PromptSet.load(path))
        with pytest.raises(PromptMismatchError):
            GraphContext.built([reworded], prompts=PromptSet.load(path, on_mismatch="error"))
        GraphContext.built([reworded], prompts=PromptSet.load(path, on_mismatch="ignore"))

    def test_a_graph_built_with_tuned_prompts_is_what_they_were_tuned_for(self, tmp_path):
        path = saved(tmp_path / "p.json", "New.", date="2026-01-01")
        schema = GraphContext.built([TELL], prompts=path)

        assert schema(prompts=path).prompt_set["test.tell"].instructions == "New."

    def test_another_choice_than_the_three_is_refused(self):
        with pytest.raises(ConfigurationError, match="'error', 'warn' or 'ignore'"):
            PromptSet({}, on_mismatch="shout")


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "langgraph.json").write_text(json.dumps({"graphs": {"rag": "./app.py:graph"}}))
    rows = [{"question": f"Capital of Norway, time {n}?"} for n in range(40)]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


class TestCommands:
    def test_show_a_file_and_a_graph(self, workspace):
        path = saved(workspace / "p.json", "[bold]New.", date="2026-01-01")
        shown = run("prompts", "show", path).stdout

        assert "optimizer: gepa" in shown
        assert "test.tell 10 characters" in shown
        assert "[bold]New." in shown
        assert "rag.answer" in run("prompts", "show", "--graph", "rag").stdout
        told = json.loads(run("prompts", "show", path, "--json").stdout)
        assert told["tuning"]["date"] == "2026-01-01"

    def test_show_needs_something_to_show(self, workspace):
        with pytest.raises(ConfigurationError, match="with --graph"):
            run("prompts", "show")

    def test_diff_two_files_and_a_graph(self, workspace):
        one, two = saved(workspace / "1.json", "Tell.\nAll."), saved(workspace / "2.json", "Tell.")
        assert "-All." in run("prompts", "diff", one, two).stdout

        PromptSet({"rag.answer": "Say it."}).save(workspace / "3.json")
        shown = run("prompts", "diff", "3.json", "--graph", "rag").stdout
        assert "+Say it." in shown
        assert "rag.combine" not in shown

    def test_apply_and_roll_back(self, workspace):
        for number in "12":
            PromptSet({"rag.answer": f"Text {number}."}).save(workspace / f"{number}.json")
            run("prompts", "apply", f"{number}.json", "prompts.json", "--graph", "rag")
        assert PromptSet.load("prompts.json")["rag.answer"].instructions == "Text 2."
        run("prompts", "rollback", "prompts.json")
        assert PromptSet.load("prompts.json")["rag.answer"].instructions == "Text 1."

    def test_optimize_saves_what_it_proved_and_goes_on_for_nothing(self, workspace):
        (workspace / "app.py").write_text(APP.replace('"Perhaps Oslo [1]."', WRITES))
        words = [*optimized(), "--optimizer", "gepa-light", "--prompt", "rag.answer", "--json"]
        words += ["--setting", "max_metric_calls=60"]
        told = json.loads(run(*words).stdout)

        assert told["improved"]
        assert told["calls_made"] > 0
        found = PromptSet.load("p.json")
        assert found["rag.answer"].instructions == "Name it, and cite it as [1]."
        assert found.tuning.optimizer == "gepa-light"
        assert json.loads(run(*words).stdout)["calls_made"] == 0

    def test_optimize_tells_money_and_takes_datasets_apart(self, workspace):
        for name in ("validation", "test"):
            rows = [{"ask": f"Capital of Norway, {name} {n}?"} for n in range(12)]
            (workspace / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        (workspace / "data.jsonl").write_text('{"ask": "Capital of Norway?"}')
        words = optimized({"--budget-calls": None, "--budget-cost": "1", "--field": "question=ask"})
        words += ["--price", "scripted=1,2", "--validation", "validation.jsonl", "--json"]
        told = json.loads(run(*words, "--test", "test.jsonl").stdout)

        assert told["before"]["n"] == 12
        expected = told["input_tokens"] + 2 * told["output_tokens"]
        assert told["cost"] == pytest.approx(expected / 1_000_000)

    def test_optimize_leaves_what_it_could_not_prove(self, workspace):
        shown = run(*optimized())

        assert "No improvement" in shown.stdout
        assert "The prompts stay as they are" in shown.stdout
        assert not (workspace / "p.json").exists()
        assert "Saved to p.json." in run(*optimized(), "--keep-unproven").stdout
        assert PromptSet.load("p.json").tuning.scores["improved"] is False

    def test_optimize_that_is_interrupted_says_how_to_go_on(self, workspace):
        (workspace / "app.py").write_text(APP + INTERRUPTED)
        shown = run(*optimized())

        assert shown.exit_code == 130
        assert "the same command goes on where this one stopped" in shown.stderr

    @pytest.mark.parametrize(
        ("changed", "told"),
        [
            ({"--budget-calls": None}, "Give a budget"),
            ({"--metric": "app:nothing"}, "'app:nothing' names no metric"),
            ({"--metric": "app:graph"}, "cannot be called"),
            ({"--setting": "seed"}, "max_rounds=2; got 'seed'"),
            ({"--out": "nowhere/p.json"}, "cannot be written"),
        ],
    )
    def test_what_cannot_work_is_told(self, workspace, changed, told):
        with pytest.raises(ConfigurationError, match=told):
            run(*optimized(changed))


def optimized(changed=()):
    """The words of a command, with other options."""
    given = {"--data": "data.jsonl", "--metric": "app:is_oslo", "--out": "p.json"}
    given |= {"--budget-calls": "2000", **dict(changed)}
    return ["optimize", "rag", *(word for pair in given.items() if pair[1] for word in pair)]


WRITES = '"```\\nName it, and cite it as [1].\\n```" if "```" in messages[-1].text else "Perhaps."'

INTERRUPTED = """
import signal, threading

def interrupting(messages):
    if len(model.script.calls) == 25:
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    return "Perhaps Oslo [1]."

model.script = Script(interrupting)
"""
