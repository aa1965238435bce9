"""What the guides take from the code: all of it, and as it is."""

import re
import tomllib

import pytest

from agentkit import prompts_of
from agentkit.graphs.memory_chat import MemoryChatContext
from agentkit.graphs.querying import QueryContext
from agentkit.graphs.rag import RagContext
from agentkit.graphs.router import RouterContext
from agentkit.graphs.tool_agent import ToolAgentContext
from agentkit.prompts import Prompt
from docs._ext.generated import options_table, prompt_text, prompt_title
from docs._ext.graphs import GRAPHS
from tests.support.pages import DOCS, ROOT

CONTEXTS = [RagContext, QueryContext, ToolAgentContext, MemoryChatContext, RouterContext]
GUIDES = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "guides").glob("*.md"))


def rows(table):
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in table.splitlines()[2:]
    ]


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: context.__name__)
def test_every_option_of_a_context_is_in_its_table(context):
    table = rows(options_table(context))
    assert [row[0] for row in table] == [f"`{name}`" for name in context.model_fields]
    assert all(all(row) and len(row) == 4 for row in table)


def test_an_option_says_its_default_its_values_and_what_it_is():
    known = {row[0]: row[1:] for row in rows(options_table(RagContext))}
    assert known["`k`"][:2] == ["`5`", "whole number, 1 to 100"]
    assert known["`quotes`"][:2] == ["`false`", "true or false"]
    assert known["`where`"][:2] == ["empty", "mapping, or empty"]
    assert known["`timeout`"][1] == "number, above 0"
    assert known["`answer`"][1] == "`auto`, `generative`, `extractive`, `none`"
    assert known["`max_sentences`"][1] == "whole number, 1 to 500, or empty"
    assert known["`k`"][2] == RagContext.model_fields["k"].description


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: context.__name__)
def test_the_options_of_every_context_are_in_a_guide(context):
    assert f"{{options}} {context.__module__}.{context.__name__}\n" in GUIDES


@pytest.mark.parametrize("graph", GRAPHS)
def test_every_graph_is_drawn_in_a_guide(graph):
    if graph != "tool_agent":  # whose prompts are shown, and which is drawn as `plain_agent`
        assert f"{{drawing}} {graph}\n" in GUIDES


def test_every_prompt_that_a_graph_can_have_is_in_a_guide():
    listed = set(re.findall(r"{prompts} (\w+)\n", GUIDES))
    shown = {name for graph in listed for name in prompts_of(GRAPHS[graph]())}
    declared = {name for graph in GRAPHS for name in prompts_of(GRAPHS[graph]())}
    assert shown == declared
    assert {"rag.rank_pointwise", "rag.hypothetical_passage", "sql.draft", "memory.extract"} < shown


def test_a_prompt_is_shown_as_it_is_and_never_as_markup():
    prompt = Prompt("a.<b>", "Mind *this* <tag>, [1] and `code*`.", {"x": str}, str)
    assert prompt_title(prompt) == "<code>a.&lt;b&gt;</code>: <code>x</code> → text"
    assert prompt_text(prompt) == r"Mind \*this\* \<tag\>, \[1\] and `code*`."


def test_every_extra_is_in_the_table_of_the_first_page():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = (DOCS / "start.md").read_text(encoding="utf-8")
    table = "".join(line for line in page.splitlines() if line.startswith("| `"))
    told = set(re.findall(r"`([a-z0-9]+)`", table))
    assert set(project["optional-dependencies"]) == told
