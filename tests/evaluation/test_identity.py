"""What tells graphs apart in a cache: everything that was set, and nothing that use has changed."""

import contextlib
import functools

import pytest
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore

from agentkit import (
    Index,
    LadybugDatabase,
    Route,
    SQLDatabase,
    create_memory_chat,
    create_rag,
    create_router,
    create_text_to_cypher,
    create_text_to_sql,
    create_tool_agent,
)
from agentkit.errors import AgentkitError
from agentkit.evaluation.identity import identity
from agentkit.graphs.rag import RagContext
from agentkit.retrieval import (
    CrossEncoderReranker,
    HyDE,
    ListwiseReranker,
    MaximalMarginalRelevance,
    MultiQuery,
)
from agentkit.testing import HashEmbeddings, ScriptedChatModel


def model(name="small"):
    return ScriptedChatModel(["yes"] * 50, model_name=name)


def store(*texts):
    made = InMemoryVectorStore(HashEmbeddings())
    made.add_documents([Document(text, id=text) for text in texts or ("three weeks",)])
    return made


def rag(**options):
    return create_rag(options.pop("model", None) or model(), store(), **options)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Ranker:
    def __init__(self, name):
        self.model_name = name


@pytest.fixture
def shop(tmp_path):
    import sqlite3

    file = tmp_path / "shop.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE customer (name TEXT)")
    return file


@pytest.fixture
def network(tmp_path):
    import ladybug

    file = tmp_path / "network.lbug"
    database = ladybug.Database(str(file))
    ladybug.Connection(database).execute("CREATE NODE TABLE Paper(id INT64, PRIMARY KEY(id))")
    database.close()
    return file


def asked(graph):
    with contextlib.suppress(AgentkitError):  # what it learns before it fails counts too
        graph.invoke({"question": "How long?"})
    return graph


RAGS = {
    "plain": {},
    "another model": {"model": model("large")},
    "k": {"k": 3},
    "prompts": {"prompts": {"rag.answer": "Be brief."}},
    "demos": {
        "prompts": {
            "rag.answer": {
                "instructions": "Be brief.",
                "demos": [{"question": "a", "documents": "b", "text": "c"}],
            }
        }
    },
    "a rewriting": {"rewrite": MultiQuery()},
    "its number": {"rewrite": MultiQuery(n=5)},
    "another rewriting": {"rewrite": HyDE()},
    "a re-ranker": {"reranker": ListwiseReranker()},
    "grading": {"grade": True},
    "diversity": {"reranker": MaximalMarginalRelevance(HashEmbeddings())},
    "more diversity": {"reranker": MaximalMarginalRelevance(HashEmbeddings(), diversity=0.9)},
    "a cross-encoder": {"reranker": CrossEncoderReranker(Ranker("a"))},
    "another": {"reranker": CrossEncoderReranker(Ranker("b"))},
    "a name": {"name": "other"},
}


def test_options_prompts_and_models_tell_a_graph_of_agentkit_apart():
    found = {name: identity(rag(**options)) for name, options in RAGS.items()}
    assert len(set(found.values())) == len(RAGS)


@pytest.mark.parametrize("name", RAGS)
def test_the_same_graph_made_again_and_used_is_the_same(name):
    graph = rag(**RAGS[name])
    before = identity(graph)
    assert before == identity(rag(**RAGS[name])) == identity(asked(graph))


def test_documents_tell_stores_and_indexes_apart(tmp_path):
    assert identity(create_rag(model(), store("a"))) != identity(create_rag(model(), store("b")))
    index = Index.open(tmp_path / "index", embeddings=HashEmbeddings())
    index.add(["a"])
    graph = create_rag(model(), index)
    before = identity(graph)
    assert before == identity(asked(graph))
    index.add(["b"])
    assert before != identity(graph)


def test_databases_and_what_is_known_of_them_tell_graphs_apart(shop):
    def made(example=(), glossary="", **options):
        database = SQLDatabase(f"sqlite:///{shop}", **options)
        return create_text_to_sql(model(), database, examples=example, glossary=glossary)

    graph = made()
    before = identity(graph)
    assert before == identity(made()) == identity(asked(graph))
    others = [
        made(samples=1),
        made(exclude=["customer"]),
        made(glossary="a customer: who buys"),
        made(example=[("How many?", "SELECT count(*) FROM customer")]),
    ]
    assert len({before, *map(identity, others)}) == 5


def test_graph_databases_tell_graphs_apart(network):
    def made(**options):
        return create_text_to_cypher(model(), LadybugDatabase(network, **options))

    graph = made()
    before = identity(graph)
    assert before == identity(made()) == identity(asked(graph)) != identity(made(samples=1))


GRAPHS = [
    lambda: create_tool_agent(model(), []),
    lambda: create_tool_agent(model(), [add]),
    lambda: create_memory_chat(model()),
    lambda: create_memory_chat(rag(k=3)),
    lambda: create_router(model(), [Route("a", rag(), "as"), Route("b", rag(k=3), "bs")]),
    lambda: create_router(model(), [Route("a", rag(), "as"), Route("b", rag(k=4), "bs")]),
    lambda: create_agent(model(), []),
    lambda: create_agent(model(), [add]),
    lambda: create_agent(model(), [add], system_prompt="Be brief."),
    lambda: create_agent(model("large"), [add]),
]


def test_every_kind_of_graph_made_again_and_used_is_the_same_and_no_other():
    found = set()
    for make in GRAPHS:
        graph = make()
        before = identity(graph)
        assert before == identity(make()) == identity(asked(graph))
        found.add(before)
    assert len(found) == len(GRAPHS)


def test_the_code_of_a_function_and_what_it_encloses_tell_it_apart():
    def made(k):
        return lambda inputs: inputs["question"] * k

    def otherwise(k):
        return lambda inputs: inputs["question"] + k

    found = [made(1), made(2), otherwise(1), functools.partial(add, 1), functools.partial(add, 2)]
    found += [RunnableLambda(made(1)), RunnableLambda(made(2))]
    assert len(set(map(identity, found))) == len(found)
    assert identity(made(1)) == identity(made(1))


def test_what_a_function_notes_as_it_runs_does_not_tell_it_apart():
    calls, count = [], 0

    def graph(inputs):
        nonlocal count
        count += 1
        calls.append(inputs)
        return "yes"

    before = identity(graph)
    graph({})
    assert before == identity(graph)


def test_an_object_is_told_apart_by_what_it_was_made_with():
    class Judge:
        def __init__(self, strictness):
            self.strictness = strictness
            self._seen = []
            self._client = None

        @functools.cached_property
        def words(self):
            return {"good": 1}

        def __call__(self, example, output):
            self._seen.append(example)
            self._client = object()
            return self.words["good"]

    judge = Judge(1)
    before = identity(judge)
    judge(None, None)
    assert before == identity(judge) == identity(Judge(1)) != identity(Judge(2))


def test_an_object_may_say_what_it_is():
    class Told:
        def __init__(self, fingerprint):
            self.fingerprint = fingerprint

    assert identity(Told("a")) == identity(Told("a")) != identity(Told("b"))


def test_values_are_told_apart_by_kind_and_order():
    values = [1, "1", 1.0, True, None, b"1", (1,), [1], {1}, {1: 2}, {2: 1}, ["a", "b"], ["b", "a"]]
    values += [["ab"], [["a"], "b"], RagContext(k=3), RagContext(k=4)]
    assert len(set(map(identity, values))) == len(values)
    assert identity({"a": 1, "b": 2}) == identity({"b": 2, "a": 1})


def test_what_holds_itself_has_an_end():
    loop = []
    loop.append(loop)
    assert identity(loop) == identity(loop)
