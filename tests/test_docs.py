"""The README's programs and commands run as they stand."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agentkit.cli import app
from agentkit.testing import ModelServer, Reply, Script

pytestmark = pytest.mark.local

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

ABOUT_CLIMATE = "MATCH (p:Paper)-[:ABOUT]->(:Topic {name: 'Climate'}) RETURN count(p) AS papers"
CALLS = [
    {"name": "book_room", "args": {"room": "3", "hour": 10}},
    {"name": "search_documents", "args": {"query": "loan period of books"}},
]
BOOKED = "Room 3 is booked for 10:00 [1]. Books may be kept for four weeks [2]."
PARTS = [
    {"question": "How long may I keep a book?", "routes": ["library"], "confidence": 0.9},
    {"question": "How many customers live in Germany?", "routes": ["shop"], "confidence": 0.9},
]
COMBINED = "You may keep it for four weeks [1]; 14 customers live in Germany [2]."
IN_GERMANY = "SELECT COUNT(*) AS customers FROM customer WHERE country = 'Germany'"


LINZ = {"text": "The user moved to Linz in May.", "kind": "event", "message": 1}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "examples" / "documents", tmp_path / "documents")
    shop = tmp_path / "examples" / "music_shop"
    shutil.copytree(ROOT / "examples" / "music_shop", shop)
    shutil.copy(shop / "music_shop.sqlite", tmp_path / "shop.sqlite")
    network = ROOT / "examples" / "research_network" / "load.py"
    subprocess.run([sys.executable, network, tmp_path / "network.lbug"], check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_programs_run_one_after_the_other(workspace, monkeypatch):
    script = (
        Script()
        .when("Write search queries", reply={"queries": ["loan period of books"]})
        .when("Order the documents", reply={"numbers": [1]})
        .when("Say which route answers", reply={"parts": PARTS})
        .when("Parts of a question", reply=COMBINED)
        .when("Write one read-only SQL", reply={"query": IN_GERMANY})
        .when("Write one read-only Cypher", reply={"query": ABOUT_CLIMATE})
        .when("query on a graph returned", reply="91 papers are about Climate.")
        .when("Answer the question from the rows", reply="14 customers live in Germany.")
        .when("Rewrite the last question", reply="When is the library open on Sundays?")
        .when("Answer the question", reply="Four weeks [1].")
        .when("Do what is asked", reply=[Reply(tool_calls=CALLS), BOOKED])
        .when("Find what is worth remembering", reply={"learnt": [LINZ]})
        .when("Reply to the user", reply=["I see.", "In Linz [m1]."])
    )
    with ModelServer(script) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        names, results = {}, []
        for program in blocks("python"):
            exec(compile(program, "README.md", "exec"), names)
            results.append(names["result"])
    assert results[0]["answer"] == "Four weeks [1]."
    assert results[0]["citations"][0]["source"].startswith("documents/")
    answers = [result["answer"] for result in results]
    assert "14 customers live in Germany." in answers
    assert results[answers.index("14 customers live in Germany.")]["rows"] == [[14]]
    assert results[answers.index("91 papers are about Climate.")]["rows"] == [[91]]
    assert [citation["tool"] for citation in results[answers.index(BOOKED)]["citations"]] == [
        "book_room",
        "search_documents",
    ]
    (remembered,) = results[answers.index("In Linz [m1].")]["citations"]
    assert (remembered["thread"], "Linz" in remembered["text"]) == ("monday", True)
    routed = results[answers.index(COMBINED)]
    assert [citation["route"] for citation in routed["citations"]] == ["library", "shop"]
    assert routed["outputs"]["shop"][0]["rows"] == [[14]]
    assert any("second reading room" in document.page_content for document in names["documents"])


def test_the_commands_run_one_after_the_other(workspace):
    commands = [
        shlex.split(line)[1:]
        for block in blocks("bash")
        for line in block.splitlines()
        if line.startswith("agentkit ")
    ]
    assert len(commands) >= 4
    for command in commands:
        done = CliRunner().invoke(app, command, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        assert done.output
