"""The app that `agentkit init` writes: as its user gets it, in processes of its own."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from langgraph_sdk import get_client
from packaging.requirements import Requirement
from typer.testing import CliRunner

import agentkit
from agentkit.cli import app
from agentkit.errors import ConfigurationError
from agentkit.serving import development_server
from agentkit.testing import ModelServer, Script
from agentkit.workspace import TEMPLATE, create_workspace

ROOT = Path(__file__).parent.parent

# graphs of the user's own that show what the library can do are the library's own, word for word
SAME = [
    "langgraph.json",
    *(f"graphs/{name}.py" for name in ("agent", "fusion_rag", "hyde_rag", "rag")),
    *(f"graphs/{name}.py" for name in ("memory_chat", "text_to_cypher", "text_to_sql")),
    *(f"tools/{name}.py" for name in ("data", "python", "web")),
]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("init") / "Tea & Coffee"
    create_workspace(folder)
    return folder


@pytest.fixture
def environment():
    """The environment of the workspace's user, who has set no variable of agentkit's."""
    ours = ("AGENTKIT_", "NEO4J_", "OPENAI_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    source = str(Path(agentkit.__file__).parent.parent)
    return {**kept, "PYTHONPATH": source, "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.mark.parametrize("name", SAME)
def test_its_graphs_and_tools_are_those_of_this_project(workspace, name):
    assert (workspace / name).read_text() == (ROOT / name).read_text()


def test_its_settings_are_those_of_this_project_with_its_own_data(workspace):
    ours, theirs = ((folder / ".env.example").read_text() for folder in (ROOT, workspace))

    def settings(text):
        return [line for line in text.splitlines() if "=" in line]

    assert settings(ours) == settings(theirs)
    assert "data/documents" in theirs


def test_it_is_named_after_its_folder_and_asks_for_extras_that_there_are(workspace):
    project = tomllib.loads((workspace / "pyproject.toml").read_text())
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["name"] == "tea-coffee"
    asked = [*project["project"]["dependencies"], project["dependency-groups"]["dev"][0]]
    for requirement in map(Requirement, asked):
        assert requirement.name == ours["project"]["name"]
        assert requirement.extras <= ours["project"]["optional-dependencies"].keys()
        assert requirement.specifier.contains(ours["project"]["version"])
    assert (workspace / "README.md").read_text().startswith("# tea-coffee\n")
    assert not list(workspace.rglob("*.template"))


@pytest.mark.local
@pytest.mark.timeout(300)
def test_its_tests_pass_with_the_extras_that_it_asks_for(workspace, environment, tmp_path):
    others = ("dspy", "duckdb", "mcp", "neo4j", "optuna", "psycopg", "pymysql", "rerankers")
    hidden = f"import sys\nsys.modules.update(dict.fromkeys({others}))\n"
    (tmp_path / "sitecustomize.py").write_text(hidden)
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), environment["PYTHONPATH"]])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=workspace,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed" in done.stdout


@pytest.mark.local
@pytest.mark.studio
@pytest.mark.timeout(300)
async def test_its_server_answers_a_question(workspace, environment):
    script = Script().when("Answer the question", reply="Within 30 days [1].")
    with ModelServer(script) as models:
        settings = {
            "AGENTKIT_MODEL": "openai:scripted",
            "OPENAI_BASE_URL": models.base_url,
            "OPENAI_API_KEY": "none",
        }
        (workspace / ".env").write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
        with development_server(workspace / "langgraph.json", environment=environment) as address:
            async with get_client(url=address, api_key=None) as client:
                listed = {each["graph_id"] for each in await client.assistants.search()}
                answered = await client.runs.wait(
                    None, "rag", input={"question": "How long may I return tea?"}
                )
    assert listed == set(json.loads((workspace / "langgraph.json").read_text())["graphs"])
    assert answered["answer"] == "Within 30 days [1]."
    assert answered["documents"][0]["metadata"]["title"] == "Returns"


def test_the_command_says_how_to_go_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["init", "shop"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "cd shop\n" in done.stdout
    assert "agentkit local install" in done.stdout
    assert "agentkit view" in done.stdout
    assert (tmp_path / "shop" / ".gitignore").exists()


def test_the_command_quotes_a_folder_that_a_shell_would_split(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["init", "tea & [b]coffee"], catch_exceptions=False)
    assert "cd 'tea & [b]coffee'\n" in done.stdout


def test_an_empty_folder_is_taken_and_one_with_anything_in_it_is_not(tmp_path):
    (tmp_path / "empty").mkdir()
    written = create_workspace(tmp_path / "empty")
    assert len(written) == len([file for file in TEMPLATE.rglob("*.*") if file.is_file()])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / ".hidden").write_text("kept")
    with pytest.raises(ConfigurationError, match=r"is not empty: it holds \.hidden"):
        create_workspace(tmp_path / "full")
    assert [file.name for file in (tmp_path / "full").iterdir()] == [".hidden"]
    (tmp_path / "file").write_text("kept")
    with pytest.raises(ConfigurationError, match="is a file"):
        create_workspace(tmp_path / "file")
    with pytest.raises(ConfigurationError, match="Nothing can be written"):
        create_workspace(tmp_path / "file" / "below")


@pytest.mark.parametrize(
    ("folder", "name"), [("Ünï  code", "n-code"), ("...", "app"), ("a_b.C", "a-b-c")]
)
def test_any_folder_gives_a_name_that_packaging_takes(tmp_path, folder, name):
    create_workspace(tmp_path / folder)
    text = (tmp_path / folder / "pyproject.toml").read_text()
    assert tomllib.loads(text)["project"]["name"] == name
