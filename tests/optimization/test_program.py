"""A graph as a DSPy program."""

import copy

import dspy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from pydantic import BaseModel
from typing_extensions import TypedDict

from agentkit import (
    LadybugDatabase,
    Prompt,
    PromptSet,
    Route,
    SQLDatabase,
    create_memory_chat,
    create_rag,
    create_router,
    create_text_to_cypher,
    create_text_to_sql,
    create_tool_agent,
    prompts_of,
)
from agentkit.errors import ConfigurationError
from agentkit.optimization import GraphProgram, optimize
from agentkit.optimization.program import graph_run_of
from agentkit.optimization.signatures import signature_of
from agentkit.testing import HashEmbeddings, Reply, Script, ScriptedChatModel
from tests.optimization import planted
from tests.support.graphs import ladybug_path


class Reading(BaseModel):
    """What was read."""

    names: list[str]
    schema_: str = ""


AWKWARD = Prompt(
    "test.awkward",
    "Read.",
    {"schema": str, "config_": str, "names": list[str]},
    Reading,
)


def asked(script):
    """The messages of every call, as the model got them."""
    return [[(m.type, m.content) for m in call.messages] for call in script.calls]


def run(program, **inputs):
    with dspy.context(lm=program.lm, trace=[], disable_history=True):
        return program(**inputs), list(dspy.settings.trace)


class TestMessages:
    @pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
    def test_they_are_byte_for_byte_those_of_a_plain_run(self, sync):
        demo = {"context": ["a", "b\nc"], "question": "Ü?", "text": "x"}
        prompts = [planted.REWRITE, Prompt(**{**vars(planted.ANSWER), "demos": [demo]})]
        question = {"question": "What is the capital of Peru?"}
        plain, bound = planted.model(), planted.model()
        texts = PromptSet({p.name: p for p in prompts})

        run(
            GraphProgram(planted.build(sync=sync), prompts, context=planted.Context(bound)),
            **question,
        )
        plain_prompts = [planted.REWRITE, planted.ANSWER.using(texts)]
        plain_prompts[0].invoke(plain, question=question["question"])
        found = planted.look_up({"query": "Peru"})["found"]
        plain_prompts[1].invoke(plain, context=found, question=question["question"])

        assert asked(bound.script) == asked(plain.script)
        assert [c.response_format for c in bound.script.calls] == [
            c.response_format for c in plain.script.calls
        ]

    @settings(
        max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(
        instructions=st.text(max_size=20),
        question=st.text(max_size=30),
        context=st.lists(st.text(max_size=20), max_size=3),
        demos=st.lists(
            st.fixed_dictionaries(
                {
                    "context": st.lists(st.text(max_size=10), max_size=2),
                    "question": st.text(max_size=10),
                    "text": st.text(max_size=10),
                }
            ),
            max_size=2,
        ),
    )
    def test_for_whatever_texts_and_inputs(self, instructions, question, context, demos):
        prompt = Prompt(
            "test.answer", instructions, {"context": list[str], "question": str}, str, demos
        )

        async def answer(state):
            inputs = {"context": state["context"], "question": state["question"]}
            return {"answer": await prompt.ainvoke(model, **inputs)}

        graph = StateGraph(Asked).add_node(answer).add_edge(START, "answer").compile()
        model = ScriptedChatModel("ok")
        run(GraphProgram(graph, [prompt]), question=question, context=context)
        bound, model = model, ScriptedChatModel("ok")
        prompt.invoke(model, question=question, context=context)

        assert asked(bound.script) == asked(model.script)

    def test_what_a_copy_was_given_is_what_is_asked(self):
        model = planted.model()
        program = GraphProgram(planted.build(), planted.PROMPTS, context=planted.Context(model))
        changed = program.deepcopy()
        predictor = dict(changed.named_predictors())["geo.answer"]
        predictor.signature = predictor.signature.with_instructions(planted.ANSWER_HINT)

        run(changed, question="What is the capital of Peru?")
        assert model.script.calls[1].system == planted.ANSWER_HINT
        run(program, question="What is the capital of Peru?")
        assert model.script.calls[3].system == planted.ANSWER.instructions

    def test_a_reply_that_cannot_be_read_is_repaired_as_at_run_time(self):
        model = ScriptedChatModel(
            Script(["not JSON", {"query": "France", "keywords": []}, "Paris"])
        )
        program = GraphProgram(planted.build(), planted.PROMPTS, context=planted.Context(model))
        prediction, trace = run(program, question="What is the capital of France?")

        assert prediction.answer == "Paris"
        assert len(model.script.calls) == 3
        assert trace[0][2].query == "France"

    def test_one_that_stays_unreadable_is_in_the_trace(self):
        model = ScriptedChatModel("not JSON at all")
        program = GraphProgram(planted.build(), planted.PROMPTS, context=planted.Context(model))
        prediction, trace = run(program, question="What is the capital of France?")

        assert "PromptOutputError" in prediction.error
        assert graph_run_of(prediction).calls[0].error
        assert "not JSON at all" in trace[0][2].unreadable_reply


class Asked(TypedDict, total=False):
    question: str
    context: list[str]
    answer: str


class TestProgram:
    def test_it_has_a_predictor_for_each_prompt_that_is_not_frozen(self):
        program = GraphProgram(
            planted.build(),
            planted.PROMPTS,
            freeze=["geo.apology"],
            context=planted.Context(planted.model()),
        )

        assert [name for name, _ in program.named_predictors()] == ["geo.rewrite", "geo.answer"]
        assert set(program.texts()) == {"geo.rewrite", "geo.answer", "geo.apology"}

    def test_the_trace_has_the_predictors_of_the_copy_that_ran(self):
        program = GraphProgram(
            planted.build(), planted.PROMPTS, context=planted.Context(planted.model())
        )
        copied = program.deepcopy()
        _, trace = run(copied, question="What is the capital of France?")

        predictors = dict(copied.named_predictors())
        assert [step[0] for step in trace] == [predictors["geo.rewrite"], predictors["geo.answer"]]

    def test_copies_share_the_graph(self):
        program = GraphProgram(planted.build(), planted.PROMPTS)

        assert copy.deepcopy(program)._shared is program._shared

    def test_the_state_of_a_program_can_be_saved_and_loaded(self, tmp_path):
        program = GraphProgram(planted.build(), planted.PROMPTS)
        program.save(tmp_path / "program.json")
        loaded = GraphProgram(planted.build(), planted.PROMPTS)
        loaded.load(tmp_path / "program.json")

        assert dict(loaded.texts()) == dict(program.texts())

    def test_signatures_of_prompts_alike_are_told_apart(self):
        one, other = (
            signature_of(Prompt(name, "Do it.", {"text_in": str}, str)) for name in ("a", "b")
        )

        assert not one.equals(other)

    def test_names_that_dspy_has_a_use_for_are_no_trouble(self):
        program_fields = signature_of(AWKWARD)

        assert list(program_fields.input_fields) == ["schema_", "config_", "names"]
        assert list(program_fields.output_fields) == ["new_names", "schema__"]

    def test_dspy_is_not_configured(self):
        before = dspy.settings.lm, dspy.settings.adapter
        run(
            GraphProgram(
                planted.build(), planted.PROMPTS, context=planted.Context(planted.model())
            ),
            question="What is the capital of France?",
        )

        assert (dspy.settings.lm, dspy.settings.adapter) == before

    def test_a_prompt_that_is_not_there(self):
        graph = create_rag(ScriptedChatModel(""), Shelf())
        with pytest.raises(ConfigurationError, match=r"no prompt 'rag.sing'. It has: "):
            GraphProgram(graph, ["rag.sing"])


# -- agentkit's own graphs -------------------------------------------------------------------------


class Shelf(BaseRetriever):
    """A retriever of one book."""

    def _get_relevant_documents(self, query, *, run_manager):
        return [Document("Oslo is the capital of Norway.", id="1")]


def rag():
    def reply(messages):
        good = any(m.type == "ai" for m in messages) or "What of Norway" in messages[-1].text
        return "Oslo [1]." if good else "Perhaps Oslo [1]."

    model = ScriptedChatModel(Script(reply))
    return create_rag(model, Shelf(), rewrite=(), answer="generative"), "rag.answer", "Oslo [1]."


def sql(tmp_path):
    import sqlite3

    with sqlite3.connect(tmp_path / "shop.sqlite") as connection:
        connection.execute("CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT)")
        connection.execute("INSERT INTO customer VALUES (1, 'Ada'), (2, 'Bo')")
    database = SQLDatabase(f"sqlite:///{tmp_path / 'shop.sqlite'}")
    script = Script().when("<rows>", reply="Two.")
    query = "SELECT COUNT(*) AS customers FROM customer"
    script.when("<schema>", reply={"query": query, "assumptions": [], "clarification": ""})
    made = create_text_to_sql(ScriptedChatModel(script), database, embeddings=HashEmbeddings())
    return made, "sql.draft", "Two."


def cypher(tmp_path):
    tables = ["CREATE NODE TABLE Person(name STRING PRIMARY KEY)", "CREATE (:Person {name: 'Ada'})"]
    database = LadybugDatabase(ladybug_path(tmp_path, tables))
    query = "MATCH (p:Person) RETURN p.name AS name"
    script = Script().when("<rows>", reply="Ada.")
    script.when("<schema>", reply={"query": query, "assumptions": [], "clarification": ""})
    made = create_text_to_cypher(ScriptedChatModel(script), database, embeddings=HashEmbeddings())
    return made, "cypher.draft", "Ada."


def router(tmp_path):
    def answer(_):
        return {"answer": "Oslo."}

    class Answered(TypedDict):
        question: str
        answer: str

    graph = StateGraph(Answered)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    chosen = {"question": "it", "routes": ["all"], "confidence": 0.9, "clarification": ""}
    script = Script().when("Say which route answers", reply={"parts": [chosen]})
    made = create_router(ScriptedChatModel(script), [Route("all", graph.compile(), "All.")])
    return made, "router.choose", "Oslo."


def memory_chat():
    def reply(messages):
        return "Oslo." if "terse" in messages[0].text else "It may be Oslo."

    return create_memory_chat(ScriptedChatModel(Script(reply)))


def agent(*, checkpointer=None):
    @tool
    def population(city: str) -> str:
        """People in a city."""
        return "700,000"

    def reply(messages):
        if messages[-1].type == "tool":
            return "700,000 [1]" if "terse" in messages[0].text else "There are 700,000 [1] people."
        return Reply(tool_calls=[{"name": "population", "args": {"city": "Oslo"}}])

    return create_tool_agent(
        ScriptedChatModel(Script(reply)),
        [population],
        permissions={"population": "read"},
        checkpointer=checkpointer,
    )


def is_answer(example, output):
    return output["answer"] == example.expected["answer"]


def tuned(graph, optimizer, answer, **options):
    words = ("Norway", "a place", "some town", "the fjord", "the harbour", "the north")
    data = [{"question": f"What of {word}?", "answer": answer} for word in words]
    return optimize(graph, data, is_answer, optimizer, budget=500, cache=None, **options)


class TestAgentkitsGraphs:
    @pytest.mark.parametrize("kind", [rag, sql, cypher, router])
    def test_each_has_its_prompts_and_takes_demos_from_good_runs(self, kind, tmp_path):
        graph, prompt, answer = kind() if kind is rag else kind(tmp_path)

        program = GraphProgram(graph)
        assert {name for name, _ in program.named_predictors()} == set(prompts_of(graph))
        data = [{"question": f"What of Norway, time {n}?", "answer": answer} for n in range(8)]
        found = optimize(graph, data, is_answer, "bootstrap", budget=200, cache=None)

        assert found.before.mean == 1.0
        assert found.candidate[prompt].demos
        assert not found.improved
        # and the graph takes what was found
        result = graph.invoke({"question": "What of Norway?"}, context={"prompts": found.candidate})
        assert result["answer"] == answer

    def test_demos_help_a_rag_graph(self):
        graph, prompt, answer = rag()
        names = ["Norway", *(f"place {n}" for n in range(39))]
        data = [{"question": f"What of {name}?", "answer": answer} for name in names]
        found = optimize(
            graph,
            data[:10],
            is_answer,
            "bootstrap",
            validation=data[10:15],
            test=data[15:],
            budget=500,
            cache=None,
        )

        assert found.improved
        assert found.prompts[prompt].demos[0]["question"] == "What of Norway?"

    @pytest.mark.parametrize("optimizer", ["gepa", "gepa-light"])
    @pytest.mark.parametrize("saver", [None, InMemorySaver()], ids=["plain", "checkpointer"])
    def test_an_agents_instructions_can_be_written(self, optimizer, saver):
        graph = agent(checkpointer=saver)

        def write(messages):
            text = "\n".join(m.text for m in messages)
            told = "Be terse." if "Do what is asked" in text else "People in a city."
            return f'{{"new_instruction": "{told}"}}' if "JSON" in text else f"```\n{told}\n```"

        found = tuned(
            graph, optimizer, "700,000 [1]", writer=ScriptedChatModel(write), shares=(2, 2, 2)
        )

        assert set(found.candidate) == {"agent.instructions", "agent.tool.population"}
        assert found.candidate["agent.instructions"].instructions == "Be terse."
        assert (found.before.mean, found.after.mean) == (0.0, 1.0)

    @pytest.mark.parametrize("optimizer", ["gepa", "gepa-light"])
    def test_a_chats_instructions_can_be_written(self, optimizer):
        def write(messages):
            is_json = "JSON" in "\n".join(m.text for m in messages)
            return '{"new_instruction": "Be terse."}' if is_json else "```\nBe terse.\n```"

        writer = ScriptedChatModel(write)
        found = tuned(memory_chat(), optimizer, "Oslo.", writer=writer, shares=(2, 2, 2))

        assert found.candidate["memory.reply"].instructions == "Be terse."
        assert (found.before.mean, found.after.mean) == (0.0, 1.0)

    def test_demos_are_nothing_for_an_agent(self):
        with pytest.raises(ConfigurationError, match="gepa, mipro, simba or gepa-light"):
            tuned(agent(), "bootstrap", "700,000 [1]")

    def test_the_prompts_that_the_graph_was_built_with_are_begun_with(self):
        model = ScriptedChatModel("Oslo [1].")
        graph = create_rag(
            model, Shelf(), rewrite=(), answer="generative", prompts={"rag.answer": "Say Oslo."}
        )

        assert GraphProgram(graph).texts()["rag.answer"].instructions == "Say Oslo."
