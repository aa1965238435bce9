"""Whoever follows the page about adding a graph has a graph that works, and tests that pass."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from agentkit.testing import ModelServer, Script
from tests.support.pages import DOCS, ROOT, files

PAGE = DOCS / "adding_a_graph.md"
ASKED = """
import json
from agentkit import draw, prompts_of
from agentkit.serving import load_graphs

served = load_graphs("langgraph.json")["classifier"]
result = served.graph.invoke({"question": "The printer jams again."})
print(json.dumps({
    "answer": result["answer"],
    "description": served.description,
    "prompts": sorted(prompts_of(served.graph)),
    "drawn": "classify" in draw(served.graph).svg,
}))
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what the page changes, with the page's steps made."""
    folder = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("src", "graphs"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("langgraph.json", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    for kind, path, content in files(PAGE):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(changed(target.read_text(), content) if kind == "diff" else content)
    return folder


def changed(text, diff):
    """A file's text with the hunks of a diff, each of whose old lines stand in it once."""
    for hunk in re.split(r"^@@.*\n", diff, flags=re.MULTILINE)[1:]:
        lines = hunk.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] in " -")
        new = "".join(line[1:] for line in lines if line[0] in " +")
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def run(folder, *command, **variables):
    environment = {**os.environ, "PYTHONPATH": f"{folder / 'src'}:{folder}", **variables}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_has_a_module_a_name_tests_and_a_place_in_studio():
    assert [(kind, path) for kind, path, _ in files(PAGE)] == [
        ("python", "src/agentkit/graphs/classifier.py"),
        ("diff", "src/agentkit/__init__.py"),
        ("python", "tests/graphs/test_classifier.py"),
        ("python", "graphs/classifier.py"),
        ("diff", "langgraph.json"),
    ]


def test_its_tests_pass(checkout):
    told = run(checkout, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/graphs")
    assert "6 passed" in told


def test_the_graph_is_served_drawn_and_answers(checkout):
    one = json.loads((checkout / "langgraph.json").read_text())
    one["graphs"] = {"classifier": one["graphs"]["classifier"]}
    (checkout / "langgraph.json").write_text(json.dumps(one))
    script = Script().when("Say which of the labels", reply={"label": "network", "confidence": 0.9})
    with ModelServer(script) as server:
        told = run(
            checkout,
            "-c",
            ASKED,
            AGENTKIT_MODEL="openai:scripted",
            OPENAI_BASE_URL=server.base_url,
            OPENAI_API_KEY="none",
        )
    assert json.loads(told.splitlines()[-1]) == {
        "answer": "network",
        "description": "Sorts what it is asked under a team.",
        "prompts": ["classifier.classify", "question.standalone"],
        "drawn": True,
    }


def test_its_code_has_the_style_of_the_project(checkout):
    pytest.importorskip("ruff", reason="ruff is missing; try: make lint")
    written = [path for kind, path, _ in files(PAGE) if kind == "python"]
    run(checkout, "-m", "ruff", "check", "--no-cache", *written, "src/agentkit/__init__.py")
    run(checkout, "-m", "ruff", "format", "--no-cache", "--check", *written)
