"""The agreement of judges is measured on a little data."""

import json
import re

import pytest

from agentkit.testing import Script, ScriptedChatModel
from benchmarks import judges

ROWS = [
    {
        "id": 0,
        "query": "Where was the final?",
        "answer": "Tampa",
        "fakeanswer": "Glendale",
        "positive": ["The final was in Tampa."],
        "positive_wrong": ["The final was in Glendale."],
        "negative": ["Tickets for the final are sold out."],
    },
    {
        "id": 1,
        "query": "Who won?",
        "answer": [["Ada", "A. Lovelace"]],
        "fakeanswer": ["Bo"],
        "positive": ["A. Lovelace won."],
        "positive_wrong": ["Bo won."],
        "negative": ["They played on Monday."],
    },
    {
        "id": 2,
        "query": "Which film won?",
        "answer": "Night",
        "fakeanswer": "Day",
        "positive": ["Night won, not Day."],
        "positive_wrong": ["Day won."],
        "negative": [],
    },
]


@pytest.fixture
def items(tmp_path):
    (tmp_path / judges.FILE).write_text("\n".join(map(json.dumps, ROWS)))
    return judges.load(tmp_path)


def element(text, tag):
    return re.search(rf"<{tag}>\n(.*?)\n</{tag}>", text, re.DOTALL)[1]


def oracle(messages):
    """Judges as the labels do."""
    text = messages[-1].text
    names = ["Tampa", "Glendale", "Lovelace", "Bo"]
    names_in = {
        tag: {name for name in names if name in element(text, tag).replace("Ada", "Lovelace")}
        for tag in ("documents", "answer", "reference")
        if f"<{tag}>" in text
    }
    one, other = names_in.values()
    claim = {"claim": "That.", "supported": bool(one & other)}
    return {"claims": [claim], "answer": [claim], "reference": [claim]}


def test_questions_whose_labels_are_not_sure_are_left_out(items):
    assert [item.id for item in items] == ["0", "1"]


async def test_a_judge_that_is_right_agrees_with_every_label(items):
    model = ScriptedChatModel(Script(oracle))
    rows = await judges.measure(items, {"oracle": model})
    assert [row["judge"].split(",")[0] for row in rows] == list(judges.JUDGES)
    assert [row["judged"] for row in rows] == [8, 6, 4]
    assert [(row["accuracy"], row["kappa"], row["not judged"]) for row in rows] == [(1, 1, 0)] * 3


async def test_a_judge_that_says_yes_to_all_agrees_by_chance(items):
    yes = {"claim": "That.", "supported": True}
    model = ScriptedChatModel(Script({"claims": [yes], "answer": [yes], "reference": [yes]}))
    rows = await judges.measure(items, {"yes": model})
    assert [row["kappa"] for row in rows] == [0, 0, 0]


async def test_a_judge_that_judges_nonsense_is_told_as_such(items):
    model = ScriptedChatModel(Script("I like finals."))
    rows = await judges.measure(items, {"nonsense": model})
    assert [(row["judged"], row["not judged"]) for row in rows] == [(0, 8), (0, 6), (0, 4)]
    assert [row["accuracy"] for row in rows] == [None] * 3


def test_a_model_and_data_must_be_given(capsys):
    with pytest.raises(SystemExit):
        judges.options().parse_args(["--data", "x"])
    assert "--model" in capsys.readouterr().err
