"""The programs and commands of the README and of the documentation run as they stand."""

import shlex
import shutil

import pytest
from typer.testing import CliRunner

from agentkit.cli import app
from agentkit.testing import ModelServer
from tests.support.pages import BOOKED, COMBINED, DOCS, ROOT, blocks, script, write_data

pytestmark = pytest.mark.local

README = "README.md"
PAGES = {page.relative_to(ROOT).as_posix(): page for page in [ROOT / README, *DOCS.rglob("*.md")]}
WITH_PROGRAMS = sorted(name for name in PAGES if name != README and blocks(PAGES[name], "python"))
WITH_COMMANDS = sorted(name for name, page in PAGES.items() if blocks(page, "bash"))
SAID = {
    "docs/guides/memory_chat.md": ["In Linz [m1]."],
    "docs/guides/router.md": [COMBINED],
    "docs/guides/text_to_cypher.md": ["91 papers are about Climate."],
    "docs/guides/text_to_sql.md": ["14 customers live in Germany."],
    "docs/guides/tool_agent.md": [BOOKED],
}
"""What the results of a page say, where it is something else than the documents' answer."""
WITHOUT_RESULT = {"docs/guides/evaluation.md", "docs/safety.md"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


@pytest.fixture
def workspace(data, tmp_path, monkeypatch):
    folder = tmp_path / "workspace"
    shutil.copytree(data, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def run(workspace, monkeypatch):
    """Runs a page's programs one after the other: their results, and the names they leave."""

    def run(name):
        names, results = {}, []
        with ModelServer(script()) as server:
            monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
            monkeypatch.setenv("OPENAI_API_KEY", "none")
            for program in blocks(PAGES[name], "python"):
                exec(compile(program, name, "exec"), names)
                results.append(names.get("result"))
        return results, names

    return run


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", WITH_PROGRAMS)
def test_the_programs_of_a_page_run_one_after_the_other(run, name):
    results, _ = run(name)
    answers = [result["answer"] for result in results if result and "answer" in result]
    if name not in WITHOUT_RESULT:
        assert set(SAID.get(name, ["Four weeks [1]."])) <= set(answers)


def test_the_results_of_the_readme_stand_on_what_they_say(run):
    results, names = run(README)
    assert results[0]["answer"] == "Four weeks [1]."
    assert results[0]["citations"][0]["source"].startswith("documents/")
    answers = [result["answer"] for result in results]
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


def test_writes_are_shown_to_be_refused(run, capsys):
    run("docs/safety.md")
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 3
    assert "DELETE" in told[0]
    assert "employee" in told[1]


@pytest.mark.parametrize("name", WITH_COMMANDS)
def test_the_commands_of_a_page_run_one_after_the_other(workspace, name):
    commands = [
        shlex.split(line)[1:]
        for block in blocks(PAGES[name], "bash")
        for line in block.splitlines()
        if line.startswith("agentkit ")
    ]
    assert commands
    for command in commands:
        done = CliRunner().invoke(app, command, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        assert done.output
