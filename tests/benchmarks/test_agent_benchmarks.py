"""The benchmarks of the tool agent run on a little work and report what they measured."""

import re

import pytest

from agentkit.testing import HashEmbeddings
from benchmarks import agent, tool_selection


@pytest.mark.filterwarnings("ignore")  # the other libraries' own
async def test_a_step_is_measured_beside_other_agents():
    rows = await agent.measure(steps=2, times=1)
    assert [row["agent"] for row in rows] == list(agent.AGENTS)
    compared_to_itself = [row for row in rows if row["agent"] in {agent.ASYNC, agent.SYNC}]
    assert [row["ratio"] for row in compared_to_itself] == [1, 1]
    assert all(row["ms a step"] > 0 and row["ratio"] > 0 for row in rows)


def test_questions_share_with_their_tools_name_what_their_wording_says():
    named = {"own words": [], "thing named": [1], "domain named": [0]}
    for question in tool_selection.questions():
        words = set(re.findall(r"\w+", question.text.casefold()))
        shared = [place for place, word in enumerate(question.needed) if word in words]
        assert shared == named[question.wording], question


async def test_the_choice_of_tools_is_measured_by_questions_with_a_known_tool():
    assert len(tool_selection.tools()) == 1_000
    assert len(tool_selection.questions()) == 300
    rows = await tool_selection.measure(offered=24, meaning=HashEmbeddings())
    by_all, *others = rows
    assert by_all["recall"] == 1
    assert [row["chosen by"] for row in others] == ["BM25 (bm25s)", "words", "words and meaning"]
    for row in others:
        wordings = [row[wording] for wording in tool_selection.WORDINGS]
        assert row["recall"] == pytest.approx(sum(wordings) / 3)
        assert 0 < row["recall"] < 1
        assert row["tokens"] < by_all["tokens"] / 10
