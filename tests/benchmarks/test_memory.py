"""Answers about long conversations are measured in four ways on the same model."""

import json
import re
import sys

import httpx
import pytest

from agentkit import chat_model
from agentkit.testing import Fault, HashEmbeddings, ModelServer, Script, ScriptedChatModel
from benchmarks import memory
from benchmarks._locomo import Question, conversations, sample, score
from benchmarks._memory_answers import answers, evidence_recall
from benchmarks._memory_ways import WAYS

pytestmark = pytest.mark.filterwarnings("ignore:Importing Send")  # langmem does

BUDGET = 320
TALK = [
    [
        "I adopted a small grey donkey called Pepper from the shelter by the river.",
        "A donkey! Where will it sleep, now that your barn has lost half of its roof?",
        "In the boat house until the spring, my brother Anselm has built a stable in it.",
        "Tell Anselm that I need him too: the stairs to my pottery have fallen in at last.",
        "He is away until June, because he walks from Lisbon to Santiago with a friend.",
        "Then I shall go on climbing up the ladder with my clay, like a very old squirrel.",
        "You could bring the clay here, there is room for a wheel beside Pepper's straw.",
        "I would be glad of it, I have to make ninety blue cups for the inn at Hallstatt.",
    ],
    [
        "Anselm is back, he has a beard now and walks with a stick made of olive wood.",
        "And I have the stairs again, he made them in two days, out of your old barn door!",
        "He told me. Have you sent the ninety cups to the inn, or are there some to glaze?",
        "They are all there, and the cook has ordered a green soup tureen with two handles.",
        "Pepper has learnt to open the gate, we found her on the road to Bad Ischl at dawn.",
        "She wanted to see the salt mine, I think, it is open again since the first of July.",
        "Let us take her there on a Sunday, the children of my neighbour would come along.",
    ],
]
ASKED = [
    ("What is the donkey called?", "Pepper", 4, ["D1:1"]),
    ("Where did Anselm walk?", "From Lisbon to Santiago", 4, ["D1:5"]),
    ("What was ordered by the inn and its cook?", "cups, a tureen", 1, ["D1:8", "D2:4"]),
    ("When did the salt mine open?", "1 July 2024", 2, ["D2:6"]),
    ("What is Ilse's cat called?", None, 5, ["D1:1"]),
    ("Would Ilse like to travel?", "Likely no; she works much", 3, []),
]
SUMMARIES = {
    "agentkit": "Keep the summary of a conversation",
    "langchain": "Context Extraction Assistant",
    "langmem": re.compile("(Create a|Extend this) summary"),
}


@pytest.fixture
def folder(tmp_path):
    """A conversation of two sessions in LoCoMo's form."""
    content = {"speaker_a": "Ruth", "speaker_b": "Ilse"}
    for number, (session, date) in enumerate(
        zip(TALK, ["9:05 am on 3 March, 2024", "6:30 pm on 7 July, 2024"], strict=True), 1
    ):
        content[f"session_{number}_date_time"] = date
        content[f"session_{number}"] = [
            {"speaker": ["Ruth", "Ilse"][n % 2], "dia_id": f"D{number}:{n + 1}", "text": text}
            for n, text in enumerate(session)
        ]
    content["qa"] = [
        {"question": question, "answer": answer, "evidence": evidence, "category": category}
        for question, answer, category, evidence in ASKED
    ]
    (tmp_path / "locomo_open.json").write_text(json.dumps([content]))
    return tmp_path


def script(**replies):
    """Answers every question, and writes summaries that tell whose they are."""
    made = Script()
    for way, told in SUMMARIES.items():
        text = f"The summary of {way}."
        reply = {"summary": text} if way == "agentkit" else text
        made.when(told, reply=replies.get(way, reply))
    return made.when("You are given the conversation", reply=replies.get("answer", answer_of))


def answer_of(messages):
    asked = messages[-1].text
    return {ASKED[0][0]: "[2024-03-03] Ruth: Pepper.", ASKED[4][0]: "Not mentioned."}.get(
        asked, "Lisbon"
    )


async def measured(folder, way, replies, **options):
    """The row of a way, its errors, and the calls by which it answered and all others."""
    with ModelServer(replies) as server:
        async with httpx.AsyncClient() as http:
            given = {"base_url": server.base_url, "api_key": "any", "max_retries": 0}
            model = chat_model("openai:any", http_async_client=http, **given)
            settings = {"budget": BUDGET, "ways": [way], "embeddings": HashEmbeddings(), **options}
            (row,), errors = await answers(conversations(folder), model, **settings)
    questions = {question for question, *_ in ASKED}
    asking = [call for call in replies.calls if call.messages[-1].text in questions]
    others = [call for call in replies.calls if call not in asking]
    return row, errors[way], asking, others


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_reported_is_what_the_model_was_sent(folder, way):
    row, errors, asking, others = await measured(folder, way, script(), concurrency=2)
    (conversation,) = conversations(folder)
    by_text = {question.text: question for question in conversation.questions}
    prompts = {call.messages[-1].text: call.messages for call in asking}
    assert sorted(prompts) == sorted(by_text)
    assert len(asking) == len(by_text)
    recalls = [evidence_recall(by_text[text], prompt) for text, prompt in prompts.items()]
    known = [recall for recall in recalls if recall is not None]
    assert row["evidence recall"] == pytest.approx(sum(known) / len(known), abs=1e-3)
    words = [len(call.text.split()) for call in asking]
    assert row["prompt tokens"] == pytest.approx(sum(words) / len(words), abs=0.06)
    assert (row["failed"], row["failed steps"], row["questions"]) == (0, 0, 6)
    assert errors == {}
    assert 0 < row["p50 s"] <= row["p95 s"]
    for text, prompt in prompts.items():  # no question knows of another
        told = "\n".join(message.text for message in prompt)
        assert not [other for other in by_text if other != text and other in told]
    assert (row["history tokens"] + row["other tokens"] > 0) == bool(others)


async def test_the_full_history_holds_all_evidence_and_costs_no_other_call(folder):
    row, _, asking, others = await measured(folder, "full-history", script())
    assert row["evidence recall"] == 1
    assert (row["history tokens"], row["other tokens"], others) == (0, 0, [])
    assert [type(message).__name__ for message in asking[0].messages] == [
        "SystemMessage",
        *["HumanMessage", "AIMessage"] * 9,
        "HumanMessage",
    ]
    assert "[2024-07-07] Ruth: Anselm is back" in asking[0].messages[9].text


@pytest.mark.parametrize("way", SUMMARIES)
async def test_a_summary_made_turn_by_turn_reaches_the_prompt_in_place_of_what_it_sums_up(
    folder, way
):
    row, _, asking, others = await measured(folder, way, script())
    assert len(others) >= 1
    assert row["history tokens"] > 0
    assert all(f"The summary of {way}." in call.text for call in asking)
    first = conversations(folder)[0].turns[1].text
    spoken = ["\n".join(m.text for m in call.messages[1:]) for call in asking]
    assert not any(first in text for text in spoken)
    assert any(first in call.text for call in others)


async def test_what_left_the_messages_is_found_again_by_agentkit_alone(folder):
    recalls = {
        way: (await measured(folder, way, script()))[0]["evidence recall"] for way in SUMMARIES
    }
    assert recalls["agentkit"] > max(recalls["langmem"], recalls["langchain"])


async def test_facts_are_looked_for_where_they_are_wanted(folder):
    replies = script().when("Find what is worth remembering", reply={"learnt": []})
    row, *_ = await measured(folder, "agentkit", replies, extract_every=2)
    without, *_ = await measured(folder, "agentkit", script())
    assert row["history tokens"] > without["history tokens"]
    assert sum("worth remembering" in call.system for call in replies.calls) == 4


@pytest.mark.parametrize("way", WAYS)
async def test_scores_are_those_of_the_answers(folder, way):
    row, *_ = await measured(folder, way, script())
    right = [1.0, 2 / 5, 0.0, 0.0, 1.0, 0.0]
    assert row["score"] == pytest.approx(sum(right) / 6, abs=1e-3)
    assert row["token F1"] == pytest.approx(sum(right[:4]) / 5, abs=1e-3)
    assert row["said unanswerable"] == 1


async def test_a_prompt_that_the_model_refuses_is_a_failure_that_is_told(folder):
    refused = Fault.http_error(400, "The context is too long.")
    row, errors, *_ = await measured(folder, "full-history", script(answer=refused))
    assert (row["failed"], row["questions"], row["score"]) == (6, 6, 0)
    assert not {"evidence recall", "prompt tokens", "p50 s"} & set(row)
    ((error, count),) = errors.items()
    assert "The context is too long." in error
    assert count == 6


@pytest.mark.parametrize("way", ["langchain", "langmem"])
async def test_a_summary_that_fails_fails_all_questions_of_its_conversation(folder, way):
    broken = script(**{way: Fault.http_error(400, "No summary today.")})
    row, errors, asking, _ = await measured(folder, way, broken)
    assert (row["failed"], row["score"], asking) == (6, 0, [])
    ((error, count),) = errors.items()
    assert "while the conversation was taken in" in error
    assert "No summary today." in error
    assert count == 6


async def test_a_summary_that_agentkit_goes_on_without_is_told(folder):
    broken = script(agentkit=Fault.http_error(400, "No summary today."))
    row, errors, *_ = await measured(folder, "agentkit", broken)
    assert row["failed"] == 0
    assert row["failed steps"] == sum(errors.values()) > 0
    assert all("summarize" in error and "No summary today." in error for error in errors)


def test_the_command_prints_and_writes_the_figures(folder, tmp_path, monkeypatch, capsys):
    command = f"memory --data {folder} --model any --questions 2 --budget {BUDGET}"
    monkeypatch.setattr(sys, "argv", [*command.split(), "--json", str(tmp_path / "out.json")])
    monkeypatch.setattr(memory, "chat_model", lambda _: ScriptedChatModel(script()))
    memory.main()
    written = json.loads((tmp_path / "out.json").read_text())
    assert list(written["figures"]) == list(WAYS)
    assert all(
        {"score", "evidence recall", "prompt tokens", "p50 s", "p95 s", "history tokens"}
        <= set(figures)
        for figures in written["figures"].values()
    )
    assert [figures["questions"] for figures in written["figures"].values()] == [2] * 4
    assert written["settings"]["errors"] == {way: {} for way in WAYS}
    assert "full-history" in capsys.readouterr().out


async def test_recall_without_a_model_is_measured_beside_its_peers(folder):
    rows = await memory.measure(conversations(folder), budget=120, embeddings=HashEmbeddings())
    assert [row["turns"] for row in rows] == ["most recent", "BM25 (bm25s)", "agentkit"]
    assert rows[0]["evidence recall"] < rows[2]["evidence recall"] <= 1


# -- scores and samples ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("category", "wanted", "given", "points"),
    [
        (4, "The adoption agency", "an adoption agencies!", 1.0),
        (4, "red and blue", "red", 2 / 3),
        (4, "red", "", 0.0),
        (2, "7 May 2023", "[2023-05-08] Ada: 7 May, 2023", 1.0),
        (1, "swimming, pottery", "pottery, running", 0.5),
        (3, "Likely no; she prefers to stay", "likely no", 1.0),
        (5, "", "That is not mentioned anywhere.", 1.0),
        (5, "", "In May", 0.0),
    ],
)
def test_an_answer_scores_as_locomo_scores_it(category, wanted, given, points):
    assert score(Question("?", wanted, category, []), given) == pytest.approx(points)


def test_a_sample_is_even_and_the_same_each_time():
    questions = [Question(str(n), "", 4, []) for n in range(10)]
    assert [each.text for each in sample(questions, 4)] == ["0", "2", "5", "7"]
    assert sample(questions, None) == sample(questions, 99) == questions
