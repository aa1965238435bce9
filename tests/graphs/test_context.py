"""The context of a graph: defaults of the build, overrides of a run."""

import warnings

import pytest
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from pydantic import ValidationError
from typing_extensions import TypedDict

from agentkit import Prompt, PromptSet, prompts_of
from agentkit.errors import ConfigurationError, UnknownPromptError
from agentkit.graphs.context import GraphContext
from agentkit.graphs.nodes import Node
from agentkit.graphs.rag import RagContext
from agentkit.testing import ModelServer, ScriptedChatModel

ASK = Prompt("test.ask", "Ask.", {"topic": str}, str)
MODEL = ScriptedChatModel("mine")


def openai(name="any"):
    return ChatOpenAI(model=name, api_key="none", base_url="http://127.0.0.1:1/v1")


def built(**defaults):
    return RagContext.built([ASK], **{"model": MODEL, **defaults})


def run_with(cls, context):
    return cls.of_run(Runtime(context=context))


class State(TypedDict, total=False):
    seen: object


def graph_seeing(cls, see, *, inner=None):
    """A graph of one node, which returns what `see` makes of the settings of the run."""

    async def look(state, runtime):
        return {"seen": see(cls.of_run(runtime))}

    graph = StateGraph(State, context_schema=cls)
    graph.add_node("look", Node(look) if inner is None else inner)
    graph.add_edge(START, "look")
    graph.add_edge("look", END)
    return graph.compile()


class TestBuilding:
    def test_defaults_of_the_build_show_in_the_form_with_their_bounds(self):
        field = built(k=7).model_json_schema()["properties"]["k"]
        assert (field["default"], field["minimum"], field["maximum"]) == (7, 1, 100)
        assert field["description"] == RagContext.model_fields["k"].description

    def test_the_form_has_the_text_of_each_prompt_to_be_edited_in_place(self):
        fields = built(prompts={"test.ask": "Ask kindly."}).model_json_schema()["properties"]
        assert fields["test.ask"] == {
            "title": "test.ask",
            "description": "Instructions of the prompt test.ask.",
            "type": "string",
            "default": "Ask kindly.",
            "langgraph_type": "prompt",
        }
        assert "test.ask" not in RagContext.model_json_schema()["properties"]

    async def test_a_prompt_of_the_form_holds_for_the_run_and_one_left_as_it_is_does_not(self):
        demos = [{"topic": "tea", "text": "Tea?"}]
        tuned = {"test.ask": {"instructions": "Ask kindly.", "demos": demos}}
        cls = built(prompts=tuned)

        def texts(settings):
            text = ASK.using(settings.prompt_set)
            return text.instructions, [*text.demos]

        graph = graph_seeing(cls, texts)
        for left in ({}, {"test.ask": "Ask kindly."}, {"test.ask": None}):
            seen = (await graph.ainvoke({}, context={"k": 3, **left}))["seen"]
            assert seen == ("Ask kindly.", demos)
        seen = (await graph.ainvoke({}, context={"test.ask": "Ask at once."}))["seen"]
        assert seen == ("Ask at once.", [])
        both = {"test.ask": "Ask at once.", "prompts": {"test.ask": "Ask later."}}
        assert (await graph.ainvoke({}, context=both))["seen"] == ("Ask at once.", [])
        with pytest.raises(ValidationError, match=r"test\.other"):
            await graph.ainvoke({}, context={"test.other": "Ask."})

    def test_other_fields_keep_the_defaults_of_the_class(self):
        assert built(k=7)().candidates == RagContext.model_fields["candidates"].default

    def test_two_graphs_do_not_share_defaults_or_prompts(self):
        seven, other = built(k=7), RagContext.built([], model=MODEL)
        assert (seven().k, other().k) == (7, 5)
        assert set(seven.declared_prompts) == {"test.ask"}
        assert not other.declared_prompts
        assert not RagContext.declared_prompts

    def test_objects_as_defaults_make_a_schema_without_a_warning(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            schema = built(prompts=PromptSet({"test.ask": "Other."})).model_json_schema()
        assert "default" not in schema["properties"]["model"]
        assert schema["properties"]["model"]["langgraph_type"] == "llm"

    @pytest.mark.parametrize(
        ("defaults", "told"),
        [
            ({"k": 0}, "greater than or equal to 1"),
            ({"k": "many"}, "valid integer"),
            ({"temperature": 3}, "less than or equal to 2"),
            ({"answer": "loud"}, "generative"),
            ({"kk": 3}, r"kk: .* Did you mean 'k'\? Settings: model, temperature, .*, k, "),
            ({"nothing_like_it": 3}, r"permitted\. Settings: model"),
            ({"model": 5}, "chat model"),
            ({"model": "nobody:model"}, "nobody"),
            ({"prompts": ["Ask."]}, "mapping"),
            ({"prompts": {"test.ask": 5}}, "'test.ask'"),
        ],
    )
    def test_a_wrong_default_is_told_when_the_graph_is_built(self, defaults, told):
        with pytest.raises(ConfigurationError, match=told):
            built(**defaults)

    def test_an_unknown_prompt_is_told_with_the_nearest_and_all_known(self):
        with pytest.raises(UnknownPromptError, match=r"Did you mean 'test.ask'\? Known: test.ask"):
            built(prompts={"test.aks": "Other."})

    def test_a_model_without_a_temperature_says_so_when_one_is_asked_for(self):
        with pytest.raises(ConfigurationError, match="ScriptedChatModel takes no temperature"):
            built(temperature=0.5)


class TestRunning:
    @pytest.mark.parametrize("context", [None, {}])
    async def test_a_run_that_names_nothing_has_the_defaults_of_the_graph(self, context):
        graph = graph_seeing(built(k=7), lambda settings: settings.k)
        assert (await graph.ainvoke({}, context=context))["seen"] == 7
        assert graph.invoke({}, context=context)["seen"] == 7

    def test_a_partial_mapping_overrides_what_it_names(self):
        graph = graph_seeing(built(k=7), lambda s: (s.k, s.candidates, s.chat_model))
        assert graph.invoke({}, context={"candidates": 9})["seen"] == (7, 9, MODEL)

    def test_an_object_of_the_public_class_overrides_what_it_sets(self):
        graph = graph_seeing(built(k=7), lambda s: (s.k, s.candidates, s.chat_model))
        assert graph.invoke({}, context=RagContext(candidates=9))["seen"] == (7, 9, MODEL)

    def test_an_unknown_field_and_a_wrong_value_are_told(self):
        graph = graph_seeing(built(), lambda settings: settings.k)
        with pytest.raises(ValidationError, match="kk"):
            graph.invoke({}, context={"kk": 1})
        with pytest.raises(ValidationError, match="less than or equal to 100"):
            graph.invoke({}, context={"k": 1000})

    @pytest.mark.parametrize("empty", [None, ""])
    def test_an_emptied_model_field_means_the_models_of_the_graph(self, empty, monkeypatch):
        monkeypatch.setenv("AGENTKIT_MODEL", "openai:other")
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        assert run_with(built(), built()(model=empty)).chat_model is not None
        graph = graph_seeing(built(), lambda settings: settings.chat_model)
        assert graph.invoke({}, context={"model": empty})["seen"] is MODEL

    def test_a_graph_without_a_model_of_its_own_asks_the_environment(self, monkeypatch):
        monkeypatch.setenv("AGENTKIT_MODEL", "openai:from-environment")
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        assert built(model=None)().chat_model.model_name == "from-environment"

    def test_a_run_may_bring_a_model_and_prompts_as_objects(self):
        other = ScriptedChatModel("other")
        graph = graph_seeing(
            built(), lambda s: (s.chat_model, ASK.using(s.prompt_set).instructions)
        )
        context = {"model": other, "prompts": PromptSet({"test.ask": "Other."})}
        assert graph.invoke({}, context=context)["seen"] == (other, "Other.")

    def test_prompts_of_a_run_win_over_those_of_the_graph(self):
        cls = built(prompts={"test.ask": "Of the graph."})
        assert cls().prompt_set["test.ask"].instructions == "Of the graph."
        run = cls(prompts={"test.ask": "Of the run."})
        assert run.prompt_set["test.ask"].instructions == "Of the run."
        assert cls().prompt_set["test.ask"].instructions == "Of the graph."

    def test_an_unknown_prompt_of_a_run_is_told(self):
        with pytest.raises(UnknownPromptError, match=r"Known: test\.ask"):
            _ = built()(prompts={"other": "x"}).prompt_set

    def test_the_context_of_a_surrounding_graph_says_nothing(self):
        inner = graph_seeing(built(k=7), lambda settings: settings.k)
        for other in (built(k=9), GraphContext.built([], model=MODEL)):
            outer = graph_seeing(other, None, inner=inner)
            assert outer.invoke({}, context={"temperature": None})["seen"] == 7

    async def test_a_foreign_context_is_ignored(self):
        class Theirs(TypedDict):
            k: int

        inner = graph_seeing(built(k=7), lambda settings: settings.k)
        outer = graph_seeing(Theirs, None, inner=inner)
        assert (await outer.ainvoke({}, context={"k": 3}))["seen"] == 7


class TestModels:
    def test_a_temperature_makes_one_variant_and_leaves_the_model_alone(self):
        model = openai()
        cls = built(model=model)
        cold = cls(temperature=0.0).chat_model
        assert cold.temperature == 0.0
        assert cold is cls(temperature=0).chat_model
        assert cold is not cls(temperature=1.0).chat_model
        assert model.temperature is None
        assert cls().chat_model is model

    def test_the_temperature_of_a_run_reaches_the_server(self):
        with ModelServer("hello") as server:
            model = ChatOpenAI(model="any", api_key="none", base_url=server.base_url)
            settings = built(model=model)(temperature=0.25)
            assert ASK.invoke(settings.chat_model, topic="cats") == "hello"
            assert server.script.calls[0].params["temperature"] == 0.25

    def test_a_string_makes_one_model_for_all_runs(self, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        cls = built(model="openai:any")
        assert cls().chat_model is cls().chat_model is cls(model="openai:any").chat_model
        assert cls(model="openai:other").chat_model.model_name == "other"

    def test_the_fingerprint_tells_models_prompts_and_temperatures_apart(self):
        cls = built(model=openai())
        prints = [
            cls(),
            cls(model=openai("other")),
            cls(temperature=0.5),
            cls(prompts={"test.ask": "Other."}),
            cls(prompts={"test.ask": {"instructions": "Ask.", "demos": [{"topic": 1, "text": 2}]}}),
        ]
        assert len({settings.fingerprint for settings in prints}) == len(prints)
        assert cls().fingerprint == cls(k=9).fingerprint


class TestPromptsOf:
    def test_they_are_those_the_graph_was_built_with(self):
        graph = graph_seeing(built(prompts={"test.ask": "Other."}), lambda settings: settings.k)
        assert prompts_of(graph)["test.ask"].instructions == "Other."
        assert prompts_of(graph)["test.ask"].inputs == ASK.inputs

    def test_they_are_found_through_a_configuration(self):
        graph = graph_seeing(built(), lambda settings: settings.k)
        assert set(prompts_of(graph.with_config(tags=["x"]))) == {"test.ask"}

    def test_changing_the_mapping_changes_no_graph(self):
        graph = graph_seeing(built(), lambda settings: settings.k)
        prompts_of(graph).clear()
        assert set(prompts_of(graph)) == {"test.ask"}

    @pytest.mark.parametrize("schema", [None, dict])
    def test_a_foreign_graph_has_none(self, schema):
        graph = StateGraph(State, context_schema=schema)
        graph.add_node("look", lambda state: state)
        graph.add_edge(START, "look")
        with pytest.raises(ConfigurationError, match="declares no prompts"):
            prompts_of(graph.compile())
