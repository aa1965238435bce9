"""The benchmarks of the tool agent run on a little work and report what they measured."""

import pytest

from agentkit.testing import HashEmbeddings
from benchmarks import agent, tool_selection


@pytest.mark.filterwarnings("ignore")  # the other libraries' own
def test_a_step_is_measured_beside_other_agents():
    rows = agent.measure(steps=2, rounds=1)
    measured = {row["agent"]: {name for name in row if name.endswith("ms a step")} for row in rows}
    both = {"async, ms a step", "sync, ms a step"}
    assert measured == {
        "create_agent": both,
        "create_agent, idle middleware": both,
        "agentkit": both,
        "LlamaIndex": {"async, ms a step"},
        "smolagents": {"sync, ms a step"},
    }
    assert rows[0]["async, ratio"] == rows[0]["sync, ratio"] == 1
    assert all(row[name] > 0 for row in rows for name in measured[row["agent"]])


async def test_the_choice_of_tools_is_measured_by_questions_with_a_known_tool():
    assert len(tool_selection.tools()) == 1_000
    assert len(tool_selection.questions()) >= 100
    rows = await tool_selection.measure(offered=24, meaning=HashEmbeddings())
    kinds = ["recall, other words", "recall, own words"]
    assert [row["chosen by"] for row in rows[:4]] == [
        "no choice: all",
        "BM25 (bm25s)",
        "words",
        "words and meaning",
    ]
    assert rows[2]["tokens"] < rows[0]["tokens"] / 10
    assert all(0 <= row[kind] <= 1 for row in rows for kind in kinds)
    by_name = {row["chosen by"]: row for row in rows}
    own = "as agentkit has it"
    halves = [by_name[f"{own}, tuned on"], by_name[f"{own}, held out"]]
    for kind in kinds:
        both = sum(half[kind] for half in halves) / 2
        assert by_name["words and meaning"][kind] == pytest.approx(both)


def test_fusion_is_tuned_to_what_finds_the_tool():
    by_meaning = tool_selection.Ranked("right", False, ["a", "b"], ["right", "c"])
    assert tool_selection.tuned([by_meaning], offered=1) == ((1, 2), 5)
    by_words = tool_selection.Ranked("right", False, ["right", "b"], ["a", "c"])
    assert tool_selection.tuned([by_words], offered=1) == ((2, 1), 5)
