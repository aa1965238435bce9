"""The benchmark of the router, and the labelled questions that it measures by."""

from collections import Counter

from agentkit.testing import HashEmbeddings, Script, ScriptedChatModel
from benchmarks import routing
from examples.routing.routes import DESCRIPTIONS

QUESTIONS = routing.questions()


def test_there_are_enough_questions_of_every_kind_and_all_name_known_routes():
    assert len({each["question"] for each in QUESTIONS}) == len(QUESTIONS) >= 100
    assert all(set(each["routes"]) <= set(DESCRIPTIONS) for each in QUESTIONS)
    by_route = Counter(route for each in QUESTIONS for route in each["routes"])
    assert min(by_route[route] for route in DESCRIPTIONS) >= 10
    kinds = Counter(min(len(each["routes"]), 2) for each in QUESTIONS)
    assert min(kinds.values()) >= 10


def last_listed(messages):
    """The choice of a small model that copies the last name it reads."""
    return {"route": messages[-1].text.partition("[2] ")[2].partition(":")[0]}


async def test_a_model_that_always_knows_is_always_right_and_the_baselines_are_not():
    by_text = {each["question"]: each["routes"] for each in QUESTIONS}

    def chosen(messages):
        asked = messages[-1].text.partition("<question>\n")[2].partition("\n</question>")[0]
        parts = by_text.get(asked, []) or [None]
        return {
            "parts": [
                {"question": asked, "routes": [route] if route else [], "confidence": 1}
                for route in parts
            ]
        }

    script = Script().when("Say which route", reply=chosen)
    script.when("Parts of a question", reply="Done [1].")
    models = {"oracle": ScriptedChatModel(script)}
    small = ScriptedChatModel(Script(last_listed))
    rows = await routing.measure(models, small=small, meaning=HashEmbeddings(), asked=QUESTIONS)
    assert [row["chosen by"] for row in rows] == [
        "words (BM25)",
        "embeddings",
        "small model, by schema",
        "router, oracle",
    ]
    assert rows[3]["all"] == rows[3]["several"] == rows[3]["none"] == 1
    assert 0 < rows[0]["all"] < 1
    assert rows[2]["all"] == rows[1]["all"]  # the nearest is listed last
    assert rows[0]["several"] == rows[0]["none"] == 0
