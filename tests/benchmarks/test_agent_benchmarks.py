"""The benchmarks of the tool agent run on a little work and report what they measured."""

import pytest

from agentkit.testing import HashEmbeddings
from benchmarks import agent, tool_selection


@pytest.mark.filterwarnings("ignore")  # the other libraries' own
async def test_a_step_is_measured_beside_other_agents():
    rows = await agent.measure(steps=2, times=1)
    assert [row["agent"] for row in rows] == [
        "create_agent",
        "agentkit",
        "LlamaIndex",
        "smolagents",
    ]
    assert rows[0]["ratio"] == 1
    assert all(row["ms a step"] > 0 for row in rows)


async def test_the_choice_of_tools_is_measured_by_questions_with_a_known_tool():
    assert len(tool_selection.tools()) == 1_000
    assert len(tool_selection.questions()) >= 100
    rows = await tool_selection.measure(offered=24, meaning=HashEmbeddings())
    assert [row["chosen by"] for row in rows] == [
        "all",
        "BM25 (bm25s)",
        "words",
        "words and meaning",
    ]
    assert rows[2]["tokens"] < rows[0]["tokens"] / 10
    assert all(0 <= row["recall"] <= 1 for row in rows)
