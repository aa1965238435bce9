"""Ablations: which configurations are run, what their effects are, and what is recommended."""

import json
import random

import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from agentkit import ablate, create_rag
from agentkit.errors import BudgetError, ConfigurationError, DatasetError
from agentkit.evaluation import Budget, aablate
from agentkit.evaluation.configurations import Space, Technique
from agentkit.retrieval import ListwiseReranker, MultiQuery
from agentkit.testing import HashEmbeddings, Reply, Script, ScriptedChatModel

ROWS = [{"question": str(number)} for number in range(40)]


def right(example, output):
    return float(output["answer"] == "yes")


def brief(example, output):
    return 0.5


def factory(gains, made=None, tokens=100):
    """Makes graphs that answer more questions rightly for each technique that is on.

    Args:
        gains: By technique, how much; each makes one more call of a model.
        made: A list that notes what the factory was called with.
    """
    model = ScriptedChatModel(Reply("yes", usage=(tokens, 0)))

    def make(**options):
        if made is not None:
            made.append(options)
        on = {name: value for name, value in options.items() if value not in (None, False)}
        chance = 0.3 + sum(gains.get((n, v), gains.get(n, 0)) for n, v in on.items())

        async def graph(inputs):
            for _ in range(1 + len(on)):
                await model.ainvoke("?")
            number = inputs["question"]
            draw = random.Random(f"{number} {sorted(on.items(), key=str)}").random()
            return {"answer": "yes" if draw < chance else "no"}

        return graph

    return make


def names(ablation):
    return [each.name for each in ablation.configurations]


def effect(ablation, technique, where="alone"):
    return next(e for e in ablation.effects if (str(e.technique), e.where) == (technique, where))


# --- which configurations


def test_each_technique_is_switched_on_alone_and_off_among_all():
    options = {"rewrite": [None, "hyde"], "grade": True, "rerank": {"none": (), "llm": "llm"}}
    made = []
    ablation = ablate(factory({}, made), options, ROWS[:2], right)
    assert names(ablation) == [
        "plain",
        "rewrite=hyde",
        "grade",
        "rerank=llm",
        "full",
        "full − rewrite=hyde",
        "full − grade",
        "full − rerank=llm",
    ]
    assert made[0] == {"rewrite": None, "rerank": ()}
    assert made[4] == {"rewrite": "hyde", "grade": True, "rerank": "llm"}
    assert made[6] == {"rewrite": "hyde", "rerank": "llm"}


def test_each_of_several_values_is_tried_and_the_first_is_in_the_full_one():
    ablation = ablate(factory({}), {"k": [5, 10, 20], "grade": [False, True]}, ROWS[:2], right)
    assert names(ablation) == ["plain", "k=10", "k=20", "grade", "full"]


def test_all_combinations_are_run_when_they_are_wanted():
    options = {"k": [5, 10, 20], "grade": [False, True]}
    ablation = ablate(factory({}), options, ROWS[:2], right, combinations=True)
    assert len(names(ablation)) == 6
    wheres = [(str(e.technique), e.where) for e in ablation.effects]
    assert wheres == [
        ("k=10", "alone"),
        ("k=10", "on average"),
        ("k=20", "alone"),
        ("k=20", "on average"),
        ("grade", "alone"),
        ("grade", "on average"),
    ]


def test_none_or_false_is_the_plain_value_wherever_it_stands():
    made = []
    ablate(factory({}, made), {"a": ["x", None], "b": [True, False]}, ROWS[:1], right)
    assert made[0] == {"a": None, "b": False}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "An ablation needs options"),
        (["grade"], "An ablation needs options"),
        ({"grade": []}, "The option 'grade' needs two values at least"),
        ({"grade": [True]}, "The option 'grade' needs two values at least"),
        ({"grade": {"on": True}}, "The option 'grade' needs two values at least"),
        ({"a": [None, object(), object()]}, "Two values of the option 'a' are called 'object'"),
    ],
)
def test_options_that_leave_nothing_to_compare_are_refused(options, told):
    with pytest.raises(ConfigurationError, match=told):
        ablate(factory({}), options, ROWS, right)


def test_values_are_called_by_what_they_are():
    space = Space({"rewrite": [(), MultiQuery(n=5)], "metric": [None, right, brief], "k": [1, 2.5]})
    assert {each.option for each in space.techniques} == {"rewrite", "metric", "k"}
    labels = [str(each) for each in space.techniques]
    assert labels[0].startswith("rewrite=MultiQuery(n=5")
    assert labels[1:] == ["metric=right", "metric=brief", "k=2.5"]


def test_a_factory_that_fails_is_told_before_anything_runs():
    def make(grade):
        if grade:
            raise TypeError("no such thing")
        return lambda inputs: pytest.fail("it ran")

    with pytest.raises(ConfigurationError, match="configuration 'grade': TypeError: no such thing"):
        ablate(make, {"grade": [False, True]}, ROWS, right)


def test_an_objective_that_is_no_metric_is_told_before_anything_runs():
    made = []
    with pytest.raises(ConfigurationError, match="objective= is one of the metrics right, brief"):
        ablate(factory({}, made), {"a": True}, ROWS, [right, brief], objective="other")
    assert made == []


def test_a_dataset_and_a_budget_that_cannot_be_used_are_refused():
    with pytest.raises(DatasetError):
        ablate(factory({}), {"a": True}, [], right)
    with pytest.raises(BudgetError):
        ablate(factory({}), {"a": True}, ROWS, right, budget=Budget(cost=1))


# --- effects


def test_an_effect_is_measured_example_by_example_with_what_it_takes():
    ablation = ablate(factory({"good": 0.6}), {"good": True}, ROWS, [right, brief])
    found = effect(ablation, "good")
    assert found.pairs == 40
    assert found.changes["right"].difference == pytest.approx(0.6, abs=0.15)
    assert found.changes["brief"].difference == 0
    assert found.tokens == pytest.approx(100)
    assert found.verdict("right") == "better"
    assert found.verdict("brief") == "no difference shown"


def test_p_values_are_corrected_for_the_number_of_effects():
    options = {"good": True, "a": True, "b": True}
    ablation = ablate(factory({"good": 0.4}), options, ROWS, right)
    raw = [e.changes["right"].p_value for e in ablation.effects]
    corrected = [e.corrected["right"] for e in ablation.effects]
    assert len(raw) == 6
    least = min(range(6), key=raw.__getitem__)
    assert corrected[least] == pytest.approx(min(1, 6 * raw[least]))
    assert all(c >= p for c, p in zip(corrected, raw, strict=True))


def test_a_technique_that_harms_is_shown_to():
    ablation = ablate(factory({"bad": -0.3, "x": 0}), {"bad": True, "x": True}, ROWS, right)
    assert effect(ablation, "bad").verdict("right") == "worse"
    assert ablation.recommended.name == "plain"


def test_scores_are_of_what_the_graph_returned_after_re_ranking_and_cutting():
    store = InMemoryVectorStore(HashEmbeddings())
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
    store.add_documents([Document(f"the word {word}", id=word) for word in words])
    script = (
        Script()
        .when("Order the documents", reply=lambda messages: {"numbers": [8, 7, 6, 5, 4, 3, 2, 1]})
        .when(reply="It is so [1].")
    )
    model = ScriptedChatModel(script)

    def make(reranker=None):
        return create_rag(model, store, reranker=reranker, k=1, candidates=8)

    def found(example, output):
        assert len(output["documents"]) == 1
        return float(output["documents"][0].id == example.expected["documents"][0])

    rows = [{"question": f"the word {word}", "documents": [word]} for word in words]
    ablation = ablate(make, {"reranker": [None, ListwiseReranker()]}, rows, found)
    # searching finds the word itself, and the scripted re-ranker puts it last
    (one,) = ablation.effects
    assert one.changes["found"].difference == -1
    assert one.verdict("found") == "worse"


# --- the recommendation


def test_a_technique_whose_gain_is_shown_is_recommended():
    ablation = ablate(factory({"good": 0.6}), {"good": True, "useless": True}, ROWS, right)
    assert ablation.recommended.name == "good"
    assert "good alone gains +0." in ablation.reason
    assert "Recommended: good" in str(ablation)


def test_without_a_gain_that_is_shown_the_plain_one_is_recommended():
    ablation = ablate(factory({"a": 0.05, "b": 0.02}), {"a": True, "b": True}, ROWS, right)
    assert ablation.recommended.name == "plain"
    assert ablation.reason.startswith("No technique's gain in right is shown on these 40 examples")


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_examples_speak_for_the_plain_one(count):
    ablation = ablate(factory({"good": 0.7}), {"good": True}, ROWS[:count], right)
    assert ablation.recommended.name == "plain"
    assert "nan" not in str(ablation).lower()


def test_of_two_that_gain_as_much_the_cheaper_is_recommended():
    gains = {("rewrite", "cheap"): 0.65, ("rewrite", "dear"): 0.7}
    model = ScriptedChatModel(
        Script().when("dear", reply=Reply("x", usage=(900, 0))).when(reply="x")
    )
    make = factory(gains)

    def priced(rewrite):
        graph = make(rewrite=rewrite)

        async def run(inputs):
            await model.ainvoke(str(rewrite))
            return await graph(inputs)

        return run

    ablation = ablate(priced, {"rewrite": [None, "cheap", "dear"]}, ROWS, right)
    assert effect(ablation, "rewrite=dear").verdict("right") == "better"
    assert ablation.recommended.name == "rewrite=cheap"


def test_what_asks_no_model_takes_less_than_what_asks_a_cheap_one():
    model = ScriptedChatModel(Reply("yes", usage=(100, 0)))

    def make(*, model_asked=None, words_counted=None):
        async def graph(inputs):
            if model_asked:
                await model.ainvoke("?")
            return {"answer": "yes" if model_asked or words_counted else "no"}

        return graph

    options = {"model_asked": True, "words_counted": True}
    ablation = ablate(make, options, ROWS, right, prices={"": (1e-6, 1e-6)})
    assert ablation.recommended.name == "words_counted"


def test_of_two_that_take_as_much_the_better_is_recommended():
    gains = {("rewrite", "good"): 0.45, ("rewrite", "best"): 0.7}
    ablation = ablate(factory(gains), {"rewrite": [None, "good", "best"]}, ROWS, right)
    assert ablation.recommended.name == "rewrite=best"


def test_two_techniques_that_gain_together_are_recommended_together():
    rows = [{"question": str(number)} for number in range(120)]
    ablation = ablate(
        factory({"a": 0.3, "b": 0.35}), {"a": True, "b": True, "c": True}, rows, right
    )
    assert ablation.recommended.on == {Technique("a", "True"), Technique("b", "True")}


def test_what_is_recommended_was_run_even_where_it_was_not_among_the_first():
    rows = [{"question": str(number)} for number in range(120)]
    options = {"a": True, "b": True, "c": True, "d": True}
    ablation = ablate(factory({"a": 0.3, "b": 0.35}), options, rows, right)
    assert names(ablation)[-1] == "a + b"
    assert ablation.recommended.name == "a + b"


def test_the_metric_that_decides_can_be_chosen():
    ablation = ablate(
        factory({"good": 0.6}), {"good": True}, ROWS, [right, brief], objective="brief"
    )
    assert ablation.recommended.name == "plain"
    assert ablation.metrics == ("brief", "right")


def test_chance_alone_is_seldom_recommended():
    recommended = 0
    for trial in range(12):
        rows = [{"question": f"{trial} {number}"} for number in range(20)]
        ablation = ablate(factory({}), {"a": True, "b": True, "c": True}, rows, right)
        recommended += ablation.recommended.name != "plain"
    assert recommended <= 2


# --- budgets and caches


def test_one_budget_is_for_all_configurations_and_what_is_done_is_kept():
    # plain takes one call for each example, each other configuration two and more
    ablation = ablate(
        factory({"good": 0.6}), {"good": True, "b": True}, ROWS[:10], right, budget=25
    )
    assert names(ablation) == ["plain", "good"]
    assert len(ablation.configurations[1].report.items) == 7
    assert effect(ablation, "good").pairs == 7
    assert ablation.stopped.startswith("The budget of ")
    assert "Stopped early" in str(ablation)


def test_a_budget_that_suffices_for_nothing_recommends_nothing():
    async def dear(inputs):
        for _ in range(9):
            await model.ainvoke("?")

    model = ScriptedChatModel("yes")
    ablation = ablate(lambda a: dear, {"a": [False, True]}, ROWS, right, budget=3)
    assert ablation.recommended is None
    assert ablation.reason == "Nothing was measured."
    assert "Nothing was measured." in str(ablation)


def test_what_is_kept_is_not_run_again(tmp_path):
    asked = []

    def make(style):
        # nothing of the option can be seen in the graph
        async def graph(inputs):
            asked.append(inputs)
            return {"answer": "yes"}

        return graph

    for _ in range(2):
        ablate(make, {"style": ["plain", "other"]}, ROWS[:3], right, cache=tmp_path)
    assert len(asked) == 6


async def test_an_ablation_can_be_awaited_and_called_in_a_running_loop():
    options = {"good": True}
    awaited = await aablate(factory({"good": 0.6}), options, ROWS, right)
    called = ablate(factory({"good": 0.6}), options, ROWS, right)
    assert awaited.recommended.name == called.recommended.name == "good"


# --- what is written


def test_an_ablation_is_saved_as_json_with_every_score(tmp_path):
    ablation = ablate(factory({"good": 0.6}), {"good": True}, ROWS, [right, brief], name="mine")
    ablation.save(tmp_path / "ablation.json")
    told = json.loads((tmp_path / "ablation.json").read_text(), parse_constant=pytest.fail)
    assert (told["format"], told["format_version"]) == ("agentkit.ablation", 1)
    assert (told["name"], told["recommended"]) == ("mine", "good")
    assert told["effects"][0]["scores"]["right"]["verdict"] == "better"
    assert told["configurations"]["good"]["tokens_per_run"] == 200
    assert told["scores"]["plain"]["1"]["brief"] == 0.5


def test_an_ablation_has_a_page_and_shows_in_a_notebook(tmp_path):
    hostile = "<script>document.title='owned'</script>"
    options = {"good": {hostile: None, f"{hostile}!": "x"}}
    ablation = ablate(factory({}), options, ROWS[:3], right, name=hostile)
    ablation.save_html(tmp_path / "ablation.html")
    page = (tmp_path / "ablation.html").read_text(encoding="utf-8")
    for written in (page, ablation._repr_html_()):
        assert hostile not in written
        assert "&lt;script&gt;document.title" in written
    assert page.count("<script>") == 1


def test_files_that_cannot_be_written_are_told(tmp_path):
    ablation = ablate(factory({}), {"a": True}, ROWS[:1], right)
    for save in (ablation.save, ablation.save_html):
        with pytest.raises(ConfigurationError, match="cannot be written"):
            save(tmp_path / "no" / "where")
