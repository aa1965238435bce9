"""Optimising whole graphs on a planted signal."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy
import pytest

from agentkit import PromptSet
from agentkit.errors import BudgetError, ConfigurationError, DatasetError, ScoringError
from agentkit.evaluation.examples import Example
from agentkit.evaluation.scores import Score
from agentkit.optimization import Budget, aoptimize, optimize
from agentkit.optimization.optimizing import _OPTIMIZERS
from agentkit.testing import ModelServer, Script, ScriptedChatModel
from tests.optimization import planted

ROOT = Path(__file__).parents[2]
STEPS = {"simba": {"max_steps": 2, "num_candidates": 3}}

BLOCKING = """
import sys
class Blocked:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in blocked:
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
"""
WITHOUT_DSPY = 'blocked = ("dspy", "litellm", "optuna")' + BLOCKING
WITHOUT_ANY = 'blocked = ("dspy", "gepa", "litellm", "optuna")' + BLOCKING
SCORED = """
import asyncio
from agentkit import PromptSet
from tests.optimization import planted
prompts = PromptSet.load(sys.argv[1])
planted.REWRITE = planted.REWRITE.using(prompts)
planted.ANSWER = planted.ANSWER.using(prompts)
graph, context = planted.build(), planted.Context(planted.model())
test = planted.parts()["test"]
async def run():
    return [planted.exact(e, await graph.ainvoke(e.inputs, context=context)).value for e in test]
print(sum(asyncio.run(run())) / len(test))
"""


def tuned(optimizer, *, sync=False, **options):
    """Optimise the planted graph."""
    options = {
        "metric": planted.exact,
        "budget": 2_000,
        "prompts": planted.PROMPTS,
        "context": planted.Context(planted.model()),
        "writer": planted.writer(),
        "cache": None,
        "seed": 1,
        "settings": STEPS.get(optimizer),
        **planted.parts(),
        **options,
    }
    return optimize(planted.build(sync=sync), optimizer=optimizer, **options)


OPTIMIZED = """
from agentkit import optimize
from agentkit.errors import MissingExtraError
from tests.optimization import planted
options = {"budget": 2_000, "prompts": planted.PROMPTS, "cache": None, **planted.parts()}
options |= {"context": planted.Context(planted.model()), "writer": planted.writer()}
try:
    found = optimize(planted.build(), metric=planted.exact, optimizer=sys.argv[1], **options)
    print(found.after.mean)
except MissingExtraError as error:
    print(error)
"""


def printed(program, *given):
    """What a program prints in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-c", program, *given],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


class TestPlantedSignal:
    @pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
    @pytest.mark.parametrize("optimizer", _OPTIMIZERS)
    def test_every_optimizer_finds_it_and_the_file_reproduces_it_without_dspy(
        self, optimizer, sync, tmp_path, capfd
    ):
        found = tuned(optimizer, sync=sync)

        assert capfd.readouterr() == ("", "")
        assert found.improved
        assert found.before.mean <= 0.15
        assert found.after.mean >= 0.95
        found.save(tmp_path / "prompts.json")
        scored = printed(WITHOUT_ANY + SCORED, tmp_path / "prompts.json")
        assert float(scored) == found.after.mean

    async def test_async_code_finds_the_same(self):
        found = await aoptimize(
            planted.build(),
            metric=planted.exact,
            budget=2_000,
            prompts=planted.PROMPTS,
            context=planted.Context(planted.model()),
            cache=None,
            **planted.parts(),
        )

        assert found.after.mean == 1.0

    @pytest.mark.parametrize("optimizer", ["bootstrap", "gepa"])
    def test_end_to_end_over_http(self, optimizer):
        from agentkit import chat_model

        with (
            ModelServer(Script(planted.reply)) as server,
            ModelServer(Script(planted.written)) as writing,
        ):
            made = {
                name: chat_model("openai:any", base_url=at.base_url, api_key="any")
                for name, at in (("model", server), ("writer", writing))
            }
            found = tuned(optimizer, context=planted.Context(made["model"]), writer=made["writer"])

        assert (found.before.mean, found.after.mean) == (0.1, 1.0)
        assert found.spent.tokens > 0

    @pytest.mark.parametrize("optimizer", _OPTIMIZERS)
    def test_the_same_seed_finds_the_same(self, optimizer):
        first, second = (tuned(optimizer, seed=5) for _ in range(2))

        assert dict(first.candidate) == dict(second.candidate)
        assert first.spent == second.spent
        assert first.after == second.after

    def test_a_prompt_that_no_run_reaches_is_left_as_it_is(self):
        found = tuned("mipro")

        assert found.candidate["geo.apology"].instructions == planted.APOLOGY.instructions

    @pytest.mark.parametrize("optimizer", _OPTIMIZERS)
    def test_a_frozen_prompt_is_left_as_it_is(self, optimizer):
        found = tuned(optimizer, freeze=["geo.rewrite"])

        old = PromptSet({"geo.rewrite": planted.REWRITE, "geo.answer": planted.ANSWER})
        assert found.candidate["geo.rewrite"] == old["geo.rewrite"]
        assert found.candidate["geo.answer"] != old["geo.answer"]

    def test_it_begins_with_the_texts_that_it_is_given(self):
        found = tuned(
            "gepa-light",
            start={"geo.rewrite": planted.REWRITE_HINT, "geo.answer": planted.ANSWER_HINT},
        )

        assert found.before.mean == 1.0
        assert not found.improved
        assert dict(found.candidate) == dict(found.prompts)

    @pytest.mark.parametrize("optimizer", ["gepa", "gepa-light"])
    def test_the_writer_is_told_the_metrics_feedback_for_each_prompt(self, optimizer):
        writer = planted.writer()
        tuned(optimizer, writer=writer)

        asked = [call.text for call in writer.script.calls]
        for prompt in (planted.REWRITE, planted.ANSWER):
            of_prompt = [text for text in asked if prompt.instructions in text]
            assert of_prompt
            assert all("got I believe that it may be" in text for text in of_prompt)


class TestExtras:
    def test_the_light_one_needs_no_dspy(self):
        assert float(printed(WITHOUT_DSPY + OPTIMIZED, "gepa-light")) == 1.0

    @pytest.mark.parametrize(
        ("blocking", "optimizer", "feature"),
        [
            (WITHOUT_DSPY, "bootstrap", "Optimising prompts with DSPy"),
            ('blocked = ("optuna",)' + BLOCKING, "mipro", "The optimiser 'mipro'"),
            (WITHOUT_ANY, "gepa-light", "The optimiser 'gepa-light'"),
        ],
    )
    def test_what_is_missing_is_told(self, blocking, optimizer, feature):
        told = printed(blocking + OPTIMIZED, optimizer)

        assert told.startswith(f"{feature} needs an optional dependency")
        assert "pip install 'agentkit-graphs[optimize]'" in told


class TestProof:
    def test_what_is_not_shown_to_be_better_is_not_used(self):
        parts = planted.parts()
        parts["test"] = parts["test"][:2]
        found = tuned("bootstrap", **parts)

        assert found.after.mean > found.before.mean
        assert not found.improved
        assert found.verdict.startswith("No improvement shown")
        assert found.prompts["geo.answer"].demos == ()
        assert found.candidate["geo.answer"].demos != ()
        assert any("only 2 held-out examples" in note for note in found.notes)

    def test_unless_that_is_asked_for(self):
        parts = planted.parts()
        parts["test"] = parts["test"][:2]
        found = tuned("bootstrap", keep_unproven=True, **parts)

        assert dict(found.prompts) == dict(found.candidate)
        assert not found.improved

    def test_an_optimizer_that_finds_nothing_says_so(self):
        found = tuned("gepa-light", writer=ScriptedChatModel("```\nDo what you can.\n```"))

        assert found.after is None
        assert found.verdict.startswith("No improvement")
        assert dict(found.prompts) == dict(found.candidate)

    def test_a_worse_prompt_is_no_improvement(self):
        def worst(example, output):
            return 1.0 - planted.exact(example, output).value

        found = tuned("bootstrap", keep_unproven=False)
        worse = tuned("gepa-light", start=found.candidate, settings={"max_metric_calls": 20})

        assert not worse.improved
        assert worst(planted.examples()[0], {"answer": "?"}) == 1.0

    def test_the_result_tells_what_it_took(self):
        found = tuned("bootstrap")

        assert found.spent.calls == found.spent.made > 0
        assert found.estimate.calls >= found.spent.calls
        assert found.seconds > 0
        before, after = found.growth["geo.answer"]
        assert after > before == len(planted.ANSWER.instructions)
        assert found.as_json()["after"]["mean"] == 1.0
        assert "Improved" in str(found)

    def test_the_file_tells_how_it_came_about(self, tmp_path):
        found = tuned("bootstrap", seed=7)
        found.save(tmp_path / "prompts.json")
        tuning = PromptSet.load(tmp_path / "prompts.json").tuning

        assert tuning.graph == "geography"
        assert tuning.optimizer == "bootstrap"
        assert tuning.settings["seed"] == 7
        assert tuning.metric == "exact"
        assert tuning.scores == {"before": 0.1, "after": 1.0, "n": 10, "improved": True}
        assert tuning.fingerprints["geo.answer"] == planted.ANSWER.fingerprint
        assert len(tuning.data) == 16
        assert json.loads((tmp_path / "prompts.json").read_text())["version"] == 1


class TestBudget:
    def test_one_that_cannot_cover_the_scoring_is_refused_before_it_starts(self):
        with pytest.raises(
            BudgetError, match=r"budget of 20 model calls is too small: a run takes 2 cal"
        ):
            tuned("bootstrap", budget=20)

    @pytest.mark.parametrize("optimizer", ["random", "mipro", "simba", "gepa", "gepa-light"])
    def test_it_is_kept_while_the_optimizer_runs(self, optimizer):
        model, writer = planted.model(), planted.writer()
        found = tuned(
            optimizer, budget=90, context=planted.Context(model), writer=writer, concurrency=4
        )

        assert len(model.script.calls) + len(writer.script.calls) <= 90
        assert found.spent.calls <= 90
        assert any("over the budget of 90 model calls" in note for note in found.notes)

    def test_a_stopped_optimizer_leaves_the_best_that_it_tried(self):
        found = tuned("random", budget=130)

        assert any("was stopped" in note for note in found.notes)
        assert found.after.mean == 1.0

    def test_in_tokens(self):
        found = tuned("bootstrap", budget=Budget(tokens=1_500))

        assert found.spent.tokens <= 1_500 + 60  # the last call's own are known after it

    def test_in_money(self):
        found = tuned("bootstrap", budget=Budget(cost=1.0), prices={"scripted": (100.0, 400.0)})

        cost = (found.spent.input_tokens * 100 + found.spent.output_tokens * 400) / 1_000_000
        assert found.spent.cost == pytest.approx(cost)

    def test_in_money_each_model_at_its_price(self):
        found = tuned("gepa", prices={"scripted": (0.0, 0.0), "writer": (0.0, 1_000_000.0)})

        assert found.spent.cost == round(found.spent.cost) > 0

    @pytest.mark.parametrize("optimizer", ["random", "gepa-light"])
    def test_money_that_runs_out_stops_it(self, optimizer):
        whole = tuned(optimizer, prices={"": (100.0, 400.0)})
        found = tuned(
            optimizer, budget=Budget(cost=0.7 * whole.spent.cost), prices={"": (100.0, 400.0)}
        )

        assert found.spent.cost < whole.spent.cost
        assert any("over the budget of a cost of" in note for note in found.notes)

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            (0, "above 0"),
            (True, "number of model calls"),
            ("many", "number of model calls"),
        ],
    )
    def test_one_that_is_none_is_refused(self, given, told):
        with pytest.raises(ConfigurationError, match=told):
            tuned("bootstrap", budget=given)

    def test_money_needs_prices(self):
        with pytest.raises(BudgetError, match="without prices"):
            tuned("bootstrap", budget=Budget(cost=1.0))

    def test_none_at_all_is_refused(self):
        with pytest.raises(ConfigurationError, match="needs a budget"):
            tuned("bootstrap", budget=None)


KILLED = """
import os, sys
from agentkit.testing import Script, ScriptedChatModel
from tests.optimization import planted, test_optimizing
def dying(messages):
    if len(model.script.calls) > 50:
        os._exit(9)
    return planted.reply(messages)
model = ScriptedChatModel(Script(dying))
test_optimizing.tuned(sys.argv[1], context=planted.Context(model), cache=sys.argv[2], concurrency=1)
"""


class TestResuming:
    @pytest.mark.parametrize("optimizer", ["bootstrap", "gepa-light", "mipro"])
    def test_a_killed_process_is_gone_on_from_where_it_stopped(self, optimizer, tmp_path):
        if optimizer == "mipro" and numpy.__version__.startswith("2.0."):
            pytest.skip("NumPy 2.0 cannot be imported by two threads at once, as happens here")
        cache = tmp_path
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, optimizer, cache],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        assert killed.returncode == 9, killed.stderr
        whole = tuned(optimizer, cache=None, concurrency=1)
        model = planted.model()
        found = tuned(optimizer, context=planted.Context(model), cache=cache, concurrency=1)

        assert dict(found.candidate) == dict(whole.candidate)
        assert found.after == whole.after
        assert found.spent.calls == whole.spent.calls
        # those that were being made when it stopped may be lost, at most so many as go at once
        assert found.spent.made <= whole.spent.made - 50 + 8

    def test_a_finished_run_costs_nothing_again(self, tmp_path):
        first = tuned("random", cache=tmp_path)
        model = planted.model()
        second = tuned("random", cache=tmp_path, context=planted.Context(model))

        assert model.script.calls == []
        assert second.spent.made == 0
        assert second.spent.calls == first.spent.calls
        assert dict(second.candidate) == dict(first.candidate)

    @pytest.mark.parametrize("optimizer", _OPTIMIZERS)
    def test_an_interrupted_one_is_gone_on_from_where_it_stopped(self, optimizer, tmp_path):
        def interrupting(messages):
            if len(model.script.calls) == 50:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            return planted.reply(messages)

        model = ScriptedChatModel(Script(interrupting))
        with pytest.raises(KeyboardInterrupt):
            tuned(optimizer, context=planted.Context(model), cache=tmp_path)
        whole = tuned(optimizer)
        found = tuned(optimizer, cache=tmp_path)

        assert dict(found.candidate) == dict(whole.candidate)
        assert found.after == whole.after
        assert found.spent.calls == whole.spent.calls
        # those that were being made when it stopped may be lost, at most so many as go at once
        assert found.spent.made <= whole.spent.made - 50 + 8

    @pytest.mark.parametrize("optimizer", ["gepa", "gepa-light"])
    async def test_a_cancelled_one_makes_no_further_call_and_can_be_gone_on_with(
        self, optimizer, tmp_path
    ):
        reached = asyncio.Event()
        loop = asyncio.get_running_loop()

        def telling(messages):
            if len(model.script.calls) == 50:
                loop.call_soon_threadsafe(reached.set)
            return planted.reply(messages)

        model = ScriptedChatModel(Script(telling))
        model.latency = 0.01
        options = {"metric": planted.exact, "optimizer": optimizer, "cache": tmp_path}
        options |= {"budget": 2_000, "prompts": planted.PROMPTS, "writer": planted.writer()}
        options |= {"context": planted.Context(model), "seed": 1, **planted.parts()}
        running = asyncio.create_task(aoptimize(planted.build(), **options))
        await reached.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        made = len(model.script.calls)
        options["context"] = planted.Context(planted.model())
        found = await aoptimize(planted.build(), **options)

        assert len(model.script.calls) <= made + 8  # those that were being made
        assert found.spent.calls == tuned(optimizer).spent.calls
        assert found.spent.made <= found.spent.calls - 50 + 8


class TestMetrics:
    @pytest.mark.parametrize("optimizer", ["bootstrap", "gepa-light"])
    def test_what_one_asks_a_model_is_counted_and_kept(self, optimizer, tmp_path):
        judge = judging()
        alone = tuned(optimizer)
        found = tuned(optimizer, metric=judged(judge), cache=tmp_path)

        asked = len(judge.script.calls)
        assert found.improved
        assert found.spent.calls == alone.spent.calls + asked
        again = tuned(optimizer, metric=judged(judge), cache=tmp_path)
        assert len(judge.script.calls) == asked
        assert (again.spent.made, again.spent.calls) == (0, found.spent.calls)

    @pytest.mark.parametrize("optimizer", ["random", "gepa", "gepa-light", "simba", "mipro"])
    def test_what_one_asks_a_model_is_within_the_budget(self, optimizer):
        model, writer, judge = planted.model(), planted.writer(), judging()
        context = planted.Context(model)
        found = tuned(optimizer, metric=judged(judge), budget=140, context=context, writer=writer)

        assert sum(len(each.script.calls) for each in (model, writer, judge)) <= 140
        assert found.spent.calls <= 140

    def test_a_sync_one_that_waits_holds_up_no_other(self):
        both = threading.Barrier(2)

        def waiting(example, output):
            if example.id in ("France", "Italy"):
                both.wait(timeout=20)
            return planted.exact(example, output)

        parts = planted.parts()
        found = tuned("bootstrap", metric=waiting, **parts)

        assert {"France", "Italy"} <= {example.id for example in parts["test"]}
        assert found.improved
        assert found.notes == ()

    def test_one_that_is_none_is_refused(self):
        with pytest.raises(ConfigurationError, match="A metric is a function"):
            tuned("bootstrap", metric="exact")


def judging():
    """A model that says whether two texts are the same."""

    def reply(messages):
        said, wanted = messages[-1].text.split(" | ")
        return "yes" if said == wanted else "no"

    return ScriptedChatModel(Script(reply), model_name="judge")


def judged(judge):
    """A metric that asks a model."""

    async def same(example, output):
        said = await judge.ainvoke(f"{output['answer']} | {example.expected['answer']}")
        return float(said.text == "yes")

    return same


class TestProgress:
    @pytest.mark.parametrize("optimizer", ["gepa", "gepa-light"])
    def test_gepa_ends_where_there_is_nothing_more_to_find(self, optimizer):
        told = []
        found = tuned(optimizer, settings={"max_metric_calls": 1_000}, progress=told.append)

        assert found.after.mean == 1.0
        assert told[-1].done < 200

    def test_each_run_is_told(self):
        told = []
        found = tuned("gepa-light", progress=told.append)

        assert [each.done for each in told] == list(range(1, len(told) + 1))
        assert told[-1].total >= told[-1].done
        assert told[-1].usage.calls == found.spent.calls

    def test_what_a_metric_prints_is_shown(self, capsys):
        def telling(example, output):
            print("scored", example.id)  # noqa: T201
            return planted.exact(example, output)

        tuned("bootstrap", metric=telling)
        shown = capsys.readouterr().out.splitlines()

        assert "scored France" in shown
        assert all(line.startswith("scored ") for line in shown)


class TestBadInput:
    def test_one_example(self):
        with pytest.raises(DatasetError, match="1 examples make"):
            optimize(
                planted.build(),
                planted.examples()[:1],
                planted.exact,
                budget=100,
                prompts=planted.PROMPTS,
                context=planted.Context(planted.model()),
                cache=None,
            )

    def test_ten_examples_are_tuned_on_and_prove_nothing(self):
        found = optimize(
            planted.build(),
            planted.examples()[:10],
            planted.exact,
            budget=500,
            prompts=planted.PROMPTS,
            context=planted.Context(planted.model()),
            cache=None,
        )

        assert not found.improved
        assert any("held-out examples: hardly" in note for note in found.notes)

    @pytest.mark.parametrize("optimizer", ["random", "gepa"])
    def test_rows_of_different_files_are_scored_by_what_they_expect_themselves(self, optimizer):
        parts = planted.parts()
        as_rows = {
            name: [{**each.inputs, "answer": each.expected["answer"]} for each in examples]
            for name, examples in parts.items()
        }
        found = tuned(optimizer, **as_rows)

        assert (found.before.mean, found.after.mean) == (0.1, 1.0)
        assert found.candidate == tuned(optimizer).candidate

    def test_a_row_without_the_field_that_the_metric_reads_is_told_and_counts_as_nothing(self):
        parts = planted.parts()
        italy = parts["test"][1]
        parts["test"][1] = Example(italy.id, italy.inputs)
        found = tuned("bootstrap", **parts)

        assert found.after.scores[:3] == [1.0, 0.0, 1.0]
        assert any("first of them Italy: " in note and "'answer'" in note for note in found.notes)

    def test_what_leaks_into_the_held_out_set_is_left_out_and_told(self):
        parts = planted.parts()
        leaked = [Example(f"copy {e.id}", e.inputs, e.expected) for e in parts["test"][:3]]
        found = tuned("bootstrap", **{**parts, "dataset": [*parts["dataset"], *leaked]})

        assert any("3 training examples are in a set after it" in note for note in found.notes)
        assert found.improved

    @pytest.mark.parametrize(
        "metric",
        [
            lambda example, output: float("nan"),
            lambda example, output: "good",
            lambda example, output: 7,
            lambda example, output: 1 / 0,
        ],
        ids=["nan", "text", "seven", "raises"],
    )
    def test_a_metric_that_scores_nothing_ends_it_at_once(self, metric):
        model = planted.model()
        with pytest.raises(ScoringError, match="Not one of 10 held-out examples"):
            optimize(
                planted.build(),
                metric=metric,
                budget=2_000,
                prompts=planted.PROMPTS,
                context=planted.Context(model),
                cache=None,
                **planted.parts(),
            )
        assert len(model.script.calls) <= 22

    def test_a_metric_that_fails_on_some_examples_is_told_of(self):
        def picky(example, output):
            if example.id == "Italy":
                raise ValueError("I do not like Italy.")
            return planted.exact(example, output)

        found = optimize(
            planted.build(),
            metric=picky,
            budget=2_000,
            prompts=planted.PROMPTS,
            context=planted.Context(planted.model()),
            cache=None,
            **planted.parts(),
        )

        assert found.improved
        assert any("1 examples had runs" in n and "not like Italy" in n for n in found.notes)

    @pytest.mark.parametrize("optimizer", _OPTIMIZERS)
    def test_a_model_that_fails_one_call_in_five(self, optimizer):
        def failing(messages):
            if len(model.script.calls) % 5 == 0:
                return RuntimeError("The model is out of order.")
            return planted.reply(messages)

        model = ScriptedChatModel(Script(failing))
        found = tuned(optimizer, context=planted.Context(model), concurrency=1)

        assert any("The model is out of order" in note for note in found.notes)
        assert found.candidate["geo.answer"] != planted.ANSWER.instructions

    def test_a_graph_whose_model_never_answers(self):
        model = ScriptedChatModel(RuntimeError("The model is gone."))
        with pytest.raises(ScoringError, match="The model is gone"):
            tuned("bootstrap", context=planted.Context(model))

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"optimizer": "adam"}, "There is no optimizer 'adam'. There are: bootstrap"),
            ({"freeze": ["geo.nothing"]}, "no prompt 'geo.nothing' to freeze"),
            ({"freeze": [p.name for p in planted.PROMPTS]}, "Every prompt is frozen"),
            ({"prompts": None}, "was not made by agentkit"),
            ({"prompts": []}, "no prompt to tune"),
            ({"settings": {"epochs": 3}}, "no setting 'epochs'. It has: max_bootstrapped_demos"),
            ({"concurrency": 0}, "`concurrency` is a whole number"),
            ({"patience": 3}, "no option 'patience'"),
            ({"optimizer": "gepa-light", "writer": None}, "which model"),
        ],
    )
    def test_an_option_that_cannot_work(self, options, told):
        with pytest.raises(ConfigurationError, match=told):
            tuned(**{"optimizer": "bootstrap", **options})


class TestPromptSize:
    def test_demos_beyond_it_are_left_out(self):
        found = tuned("bootstrap", max_prompt_chars=150)

        assert all(text.size <= 150 for text in found.candidate.values())
        assert found.candidate["geo.answer"].demos

    def test_a_prompt_that_begins_beyond_it_is_refused(self):
        with pytest.raises(ConfigurationError, match=r"'geo.rewrite' has 21 characters to begin"):
            tuned("bootstrap", max_prompt_chars=20)

    @pytest.mark.parametrize("optimizer", ["gepa", "gepa-light", "mipro", "simba"])
    def test_instructions_beyond_it_are_not_taken(self, optimizer):
        long = ScriptedChatModel(
            lambda messages: planted.written(messages).replace("Answer", "Answer " * 50)
        )
        found = tuned(optimizer, writer=long, max_prompt_chars=100)

        assert all(text.size <= 100 for text in found.candidate.values())


async def test_metrics_may_be_async():
    async def exact(example, output):
        await asyncio.sleep(0)
        return Score(planted.exact(example, output).value)

    found = await aoptimize(
        planted.build(),
        metric=exact,
        budget=2_000,
        prompts=planted.PROMPTS,
        context=planted.Context(planted.model()),
        cache=None,
        **planted.parts(),
    )

    assert found.improved
