"""The `agentkit` command, as a user types it."""

import dataclasses
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import metadata, version
from pathlib import Path

import pytest
from typer.testing import CliRunner

import agentkit
from agentkit import Index
from agentkit.cli import app
from agentkit.diagnosis import diagnose
from agentkit.errors import ConfigurationError, DatabaseError
from agentkit.local import weights
from agentkit.testing import ModelServer, Reply, Script
from tests.support.mcp_servers import PROGRAM

pytestmark = pytest.mark.local

DOCUMENTS = Path(__file__).parent.parent / "examples" / "documents"
QUESTION = "How long may I keep a book?"


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "index"
    Index.open(folder).add(["Books may be kept for four weeks. [red]Alarm[/] [1]"])
    return folder


@pytest.fixture
def served(monkeypatch):
    """Makes a script the configured chat model."""
    servers = []

    def serve(script):
        server = ModelServer(script).__enter__()
        servers.append(server)
        monkeypatch.setenv("AGENTKIT_MODEL", "openai:scripted")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        return server

    yield serve
    for server in servers:
        server.__exit__(None, None, None)


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def command(*words, **environment):
    """The real command, in a process of its own."""
    program = Path(sys.executable).parent / "agentkit"
    return subprocess.run(
        [program, *map(str, words)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def run_failing(*words):
    """The kind of error that a command raises."""
    return type(CliRunner().invoke(app, [str(word) for word in words]).exception)


def test_files_are_ingested_and_a_second_run_finds_them_unchanged(workspace):
    shutil.copytree(DOCUMENTS, workspace / "documents")
    first = run("ingest", "documents", "--index", "index", "--exclude", "*.csv")
    assert "Files: 4 added." in first.stdout
    (workspace / "documents" / "loans.md").unlink()
    (workspace / "documents" / "broken.pdf").write_bytes(b"%PDF-1.4 nonsense")
    second = run("ingest", "documents", "--index", "index", "--exclude", "*.csv")
    assert "Files: 3 unchanged, 1 removed." in second.stdout
    assert "Skipped documents/broken.pdf" in second.stderr
    assert second.exit_code == 0


def test_ingesting_nothing_readable_fails(workspace):
    (workspace / "junk.txt").write_bytes(bytes(range(32)) * 100)
    done = run("ingest", "junk.txt", "--index", "index")
    assert done.exit_code == 1
    assert "Skipped junk.txt" in done.stderr


def test_a_script_reads_what_was_ingested_as_json(workspace):
    (workspace / "loans.md").write_text("Books may be kept for four weeks.")
    (workspace / "junk.txt").write_bytes(bytes(range(32)) * 100)
    done = run("ingest", "loans.md", "junk.txt", "--index", "index", "--json", "--quiet")
    told = json.loads(done.stdout)
    assert (told["added"], list(told["failed"]), told["chunks"]) == (["loans.md"], ["junk.txt"], 1)
    assert done.stderr == ""
    assert "index holds 1 chunk." in run("ingest", "loans.md", "--index", "index").stdout


def test_a_broken_file_is_told_once(workspace):
    (workspace / "broken.pdf").write_bytes(b"no pdf")
    done = command("ingest", "broken.pdf", "--index", "index")
    assert done.returncode == 1
    assert "Skipped broken.pdf: it cannot be read as PDF" in done.stderr
    assert "WARNING" not in done.stderr


def test_an_answer_is_printed_with_its_progress_and_its_sources(workspace, index, served):
    served(Script().when("Answer the question", reply="Four weeks, [red]truly[/] [1]."))
    done = run("ask", QUESTION, "--index", index)
    assert done.exit_code == 0
    assert "Four weeks, [red]truly[/] [1]." in done.stdout
    assert "1 found for" in done.stderr
    assert "[1] a document without a source" in done.stdout


def test_what_a_model_writes_does_nothing_to_the_terminal(workspace, index, served):
    written = "Four\x1b]52;c;eA==\x07 \u202eweeks\x9b2J\r\n\tor so [1]."
    served(Script().when("Answer the question", reply=written))
    done = run("ask", QUESTION, "--index", index, "--quiet")
    assert "Four�]52;c;eA==� �weeks�2J\n\tor so [1].".expandtabs() in done.stdout.expandtabs()
    assert not re.search("[\x1b\x07\x9b\u202e]", done.stdout)


def test_a_corrected_answer_is_printed_as_such(workspace, index, served):
    script = Script().when("has the problems", reply="Four weeks [1].")
    served(script.when("Answer the question", reply="Four weeks [9]."))
    done = run("ask", QUESTION, "--index", index, "--quiet")
    assert "Corrected: Four weeks [1]." in done.stdout
    assert done.stderr == ""


def test_json_is_nothing_but_json(workspace, index, served):
    served(Script().when("Answer the question", reply="Four weeks [1]."))
    result = json.loads(run("ask", QUESTION, "--index", index, "--json").stdout)
    assert result["answer"] == "Four weeks [1]."
    assert result["citations"][0]["number"] == 1
    assert result["documents"][0]["content"].startswith("Books may be kept")


@pytest.mark.parametrize("graph", ["rag", "hyde_rag", "fusion_rag"])
def test_every_graph_can_be_asked_with_the_embedded_model(workspace, index, graph):
    done = run("ask", QUESTION, "--index", index, "--graph", graph, "--model", "local")
    assert done.exit_code == 0
    assert done.stdout.strip()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["ask", QUESTION, "--index", "nowhere"], "There is no index at"),
        (["ask", " ", "--index", "INDEX", "--model", "local"], "The question is empty"),
        (["ask", QUESTION, "--index", "INDEX", "--model", "nowhere:x"], "cannot be made"),
        (["ask", QUESTION, "--index", "INDEX", "--model", "gtp"], "'gtp' cannot be made"),
        (["ask", QUESTION, "--index", "INDEX", "--embeddings", "x"], "It names no provider"),
        (["ask", QUESTION, "--index", "INDEX", "--embeddings", "no:x"], "'no:x' cannot be made"),
        (["ask", QUESTION, "--index", "INDEX", "--k", "0"], "k: Input should be greater"),
        (["ask", QUESTION, "--index", "pyproject.toml"], "it is a file"),
        (["chat", "--json"], "give a message"),
    ],
)
def test_an_error_is_one_line_without_a_traceback(workspace, index, words, told):
    (workspace / "pyproject.toml").touch()
    done = command(*(index if word == "INDEX" else word for word in words))
    assert done.returncode == 1
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_asking_without_an_index_leaves_no_folder(workspace):
    assert run_failing("ask", QUESTION, "--index", "a/nowhere") == ConfigurationError
    assert list(workspace.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["ask", QUESTION, "--quiet", "--index", "INDEX"], "cannot be reached: "),
        (["chat", "Hello."], "cannot be reached: "),
    ],
)
def test_a_model_that_is_not_reached_is_named_with_what_to_do(workspace, index, words, told):
    with ModelServer(Script()) as server:
        address = server.base_url
    done = command(
        *(index if word == "INDEX" else word for word in words),
        AGENTKIT_MODEL="openai:scripted",
        OPENAI_BASE_URL=address,
        OPENAI_API_KEY="none",
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {address}/chat/completions {told}")
    assert done.stderr.count("\n") == 1


def test_a_server_that_refuses_the_key_is_told_with_what_to_do(workspace, index):
    with ModelServer(Script(), api_key="secret") as server:
        done = command(
            *("ask", QUESTION, "--index", index, "--quiet", "--model", "openai:scripted"),
            OPENAI_BASE_URL=server.base_url,
            OPENAI_API_KEY="wrong",
        )
    assert done.returncode == 1
    assert "A server answered with status 401" in done.stderr
    assert "Check its key." in done.stderr
    assert "did not expect" not in done.stderr


def test_an_answer_is_not_lost_where_the_terminal_cannot_show_it(workspace, index, served):
    served(Script().when("Answer the question", reply="Für vier Wochen [1]."))
    ask = ("ask", QUESTION, "--index", index, "--quiet")
    shown = command(*ask, PYTHONIOENCODING="ascii")
    assert shown.returncode == 0
    assert "F\\xfcr vier Wochen [1]." in shown.stdout
    printed = command(*ask, "--json", PYTHONIOENCODING="ascii")
    assert json.loads(printed.stdout)["answer"] == "Für vier Wochen [1]."


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_printed_json_does_nothing_to_a_terminal_and_reads_back_the_same(encoding):
    value = {"told": "a\x1b[2J\x7f\x85\x9b31m\u202e\u2066 \\ü\n[red]"}
    code = f"from agentkit.cli.console import print_json; print_json({value!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        encoding=encoding,
        check=True,
    )
    assert json.loads(done.stdout) == value
    assert not set(done.stdout) & set("\x1b\x7f\x85\x9b\u202e\u2066")


@pytest.mark.parametrize(
    ("words", "environment"), [(["--debug"], {}), ([], {"AGENTKIT_DEBUG": "1"})]
)
def test_a_traceback_is_shown_to_whoever_asks_for_it(workspace, monkeypatch, words, environment):
    monkeypatch.setenv("AGENTKIT_DEBUG", environment.get("AGENTKIT_DEBUG", ""))
    done = command(*words, "ask", QUESTION, "--index", "nowhere")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "There is no index at" in done.stderr


def test_an_error_that_nobody_expected_is_told_in_a_sentence_too(workspace):
    code = "import agentkit.workspace as w\n"
    code += "def fail(_): raise RuntimeError('[red] gone')\nw.create_workspace = fail\n"
    code += "from agentkit.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "init", "x"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Error: RuntimeError: [red] gone" in done.stderr
    assert "agentkit --debug" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_help_reads_like_a_page():
    told = run("--help").stdout
    for part in ("Ask", "Serve", "Set up", "agentkit init shop", "AGENTKIT_MODEL", "--debug"):
        assert part in told
    for command in app.registered_commands:
        name = command.name or command.callback.__name__
        assert run(name, "--help").exit_code == 0
        assert name in told
        # typer breaks a line where the docstring does
        _, *paragraphs = inspect.getdoc(command.callback).split("\n\n")
        assert not any("\n" in paragraph for paragraph in paragraphs)


def test_the_version_is_said():
    assert run("--version").stdout == f"agentkit {version('agentkit-graphs')}\n"


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("agentkit do", {"doctor"}),
        ("agentkit ask x --graph hy", {"hyde_rag"}),
        ("agentkit mcp text", {"text_to_sql", "text_to_cypher"}),
        ("agentkit mcp --config none.json text", set()),
    ],
)
def test_the_shell_completes_commands_and_the_names_of_graphs(typed, completed):
    done = subprocess.run(
        [Path(sys.executable).parent / "agentkit"],
        env={
            **os.environ,
            "_AGENTKIT_COMPLETE": "complete_bash",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(typed.split()) - 1),
        },
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert set(done.stdout.split()) == completed


def test_the_graphs_are_listed():
    done = run("graphs")
    listed = json.loads(run("graphs", "--json").stdout)
    factories = [name for name in agentkit.__all__ if name.startswith("create_")]
    assert [each["factory"] for each in listed] == [f"agentkit.{name}" for name in factories]
    for each in listed:
        assert each["factory"] in done.stdout
        assert each["summary"]


def test_the_graphs_are_listed_without_any_extra(workspace):
    extras = ("lancedb", "numpy", "rapidfuzz", "sqlalchemy", "sqlglot", "ladybug", "aiosqlite")
    hidden = f"import sys\nsys.modules.update(dict.fromkeys({extras}))\n"
    (workspace / "sitecustomize.py").write_text(hidden)
    searched = [str(workspace), os.environ.get("PYTHONPATH", "")]
    done = command("graphs", "--json", PYTHONPATH=os.pathsep.join(searched))
    assert done.stderr == ""
    assert len(json.loads(done.stdout)) == 8


def test_the_installed_weights_are_said_to_be_right():
    done = run("local", "install")
    assert "installed and right" in done.stdout


def test_the_doctor_finds_what_is_good_and_what_is_not(served):
    server = served(Script())
    good = {finding.subject: finding for finding in diagnose({"OPENAI_BASE_URL": server.base_url})}
    assert good["chat model local"].state == "good"
    assert good[server.base_url].found == "serves scripted"
    assert good["extra index"].state == "good"
    bad = diagnose({"AGENTKIT_MODEL": "openai:gpt-5", "AGENTKIT_EMBEDDINGS": "nowhere:x"})
    told = {finding.subject: finding for finding in bad if finding.state == "bad"}
    assert told["chat model openai:gpt-5"].advice == "export OPENAI_API_KEY=…"
    assert "cannot be made" in told["embeddings nowhere:x"].found


def test_the_doctor_tells_of_a_server_that_refuses_or_is_gone():
    with ModelServer(Script(), api_key="secret") as server:
        address = server.base_url
        refused = diagnose({"OPENAI_BASE_URL": address, "OPENAI_API_KEY": "wrong"})
    gone = diagnose({"OPENAI_BASE_URL": address, "OPENAI_API_KEY": "secret"})
    for findings in (refused, gone):
        assert findings[-1].state == "bad"
        assert findings[-1].advice


def test_the_doctor_prints_its_findings(served):
    served(Script())
    done = run("doctor")
    assert done.exit_code == 0
    assert "chat model openai:scripted" in done.stdout
    listed = json.loads(run("doctor", "--json").stdout)
    assert listed == [dataclasses.asdict(finding) for finding in diagnose(os.environ)]


def test_the_doctor_names_the_fix_of_everything_that_is_missing(monkeypatch):
    absent = dataclasses.replace(weights.PACKAGES[0], module="no_such_module")
    with monkeypatch.context() as patch:
        patch.setattr("agentkit.diagnosis._is_installed", lambda name: False)
        patch.setattr("agentkit.local.weights.PACKAGES", [absent])
        findings = diagnose({"AGENTKIT_MODEL": "openai:gpt-5"})
    lacking = [finding for finding in findings if finding.state != "good"]
    extras = metadata("agentkit-graphs").get_all("Provides-Extra")
    advised = {finding.subject: finding.advice for finding in lacking}
    for extra in set(extras) - {"all"}:
        assert advised[f"extra {extra}"] == f"pip install 'agentkit-graphs[{extra}]'"
    assert all(advised.values())
    assert "agentkit local install" in advised.values()


def test_the_doctor_finds_that_the_embedded_models_lack_their_engine(monkeypatch):
    monkeypatch.setattr("agentkit.diagnosis._is_installed", lambda name: name != "xllamacpp")
    wrong = {each.subject: each for each in diagnose({}) if each.state == "bad"}
    assert wrong["chat model local"].found == "the default; without xllamacpp"
    assert wrong["chat model local"].advice == "pip install 'agentkit-graphs[local]'"


def test_what_the_doctor_advises_can_be_copied(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("agentkit.diagnosis._is_installed", lambda name: False)
    told = run("doctor").stdout
    for extra in set(metadata("agentkit-graphs").get_all("Provides-Extra")) - {"all"}:
        assert f"'agentkit-graphs[{extra}]'" in told
    assert "extra all" not in told
    assert "…" not in told


def test_the_doctor_s_status_says_whether_something_is_wrong(monkeypatch):
    monkeypatch.setenv("AGENTKIT_MODEL", "openai:gpt-5")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    done = run("doctor", "--json")
    assert done.exit_code == 1
    wrong = [each for each in json.loads(done.stdout) if each["state"] == "bad"]
    assert [each["advice"] for each in wrong] == ["export OPENAI_API_KEY=…"]


# -- databases -------------------------------------------------------------------------------------

SHOP = Path(__file__).parent.parent / "examples" / "music_shop" / "music_shop.sqlite"
COUNT = "SELECT COUNT(*) AS customers FROM customer"
HOW_MANY = "How many customers are there?"


@pytest.fixture
def shop(served):
    """A model that answers one question about the music shop."""
    script = Script().when("Write one read-only SQL", reply={"query": COUNT})
    script.when("Answer the question from the rows", reply="There are 120 customers.")
    served(script)
    return script


def test_a_question_to_a_database_is_answered_with_query_and_rows(shop):
    done = run("sql", SHOP, HOW_MANY)
    assert done.exit_code == 0
    for told in ("There are 120 customers.", COUNT, "customers", "120"):
        assert told in done.stdout


def test_the_result_of_a_database_is_printed_as_json(shop):
    done = json.loads(run("sql", SHOP, HOW_MANY, "--json", "--quiet").stdout)
    assert (done["answer"], done["rows"]) == ("There are 120 customers.", [[120]])
    assert [attempt["outcome"] for attempt in done["attempts"]] == ["rows"]


@pytest.mark.parametrize(
    ("typed", "told"),
    [("y\n", "120"), ("n\n", "declined"), ("DROP TABLE customer\nno\n", "declined")],
)
def test_a_query_is_asked_about_before_it_runs(shop, typed, told):
    words = ["sql", str(SHOP), HOW_MANY, "--approve"]
    done = CliRunner().invoke(app, words, input=typed, catch_exceptions=False)
    assert told in done.stdout
    assert COUNT in done.output
    assert ("DROP" in done.output) == ("DROP" in typed)


def test_a_query_that_is_asked_about_does_nothing_to_the_terminal(served):
    query = f"{COUNT} WHERE name <> '\x9b2J\u202e'"
    script = Script().when("Write one read-only SQL", reply={"query": query})
    served(script.when("Answer the question from the rows", reply="There are 120 customers."))
    words = ["sql", str(SHOP), HOW_MANY, "--approve"]
    done = CliRunner().invoke(app, words, input="y\n", catch_exceptions=False)
    assert done.stderr.count("'�2J�'") == done.stdout.count("'�2J�'") == 1
    assert not re.search("[\x9b\u202e]", done.output)


def test_a_query_that_had_to_be_repaired_is_told(served):
    script = Script().when("<problem>", reply={"query": COUNT})
    script.when("Write one read-only SQL", reply={"query": "SELECT nope FROM customer"})
    served(script.when("Answer the question from the rows", reply="120"))
    done = run("sql", SHOP, HOW_MANY)
    assert "nope" in done.stderr
    assert "120" in done.stdout


def test_the_embedded_model_is_wired_to_databases_too(monkeypatch):
    done = run("sql", SHOP, HOW_MANY)
    assert done.exit_code == 0
    assert done.stdout.strip()


def test_a_glossary_that_is_not_utf8_is_told(shop, tmp_path):
    (tmp_path / "terms.txt").write_bytes("Umsätze".encode("latin-1"))
    words = ("sql", SHOP, HOW_MANY, "--glossary", tmp_path / "terms.txt")
    assert run_failing(*words) == ConfigurationError


def test_a_database_of_which_nothing_may_be_read_is_told(shop):
    assert run_failing("sql", SHOP, HOW_MANY, "--include", "nothing") == DatabaseError


def test_a_glossary_and_private_columns_are_heeded(shop, tmp_path):
    glossary = tmp_path / "glossary.txt"
    glossary.write_text("active: has ordered this year")
    run("sql", SHOP, HOW_MANY, "--glossary", glossary, "--private", "*", "--exclude", "order*")
    told = shop.calls[0].text
    assert "active: has ordered this year" in told
    assert "such as" not in told
    assert "order_line" not in told


@pytest.mark.parametrize(
    ("database", "told"),
    [
        ("missing.sqlite", "There is no SQLite database file"),
        ("postgresql://u:s3cret@127.0.0.1:1/x", "cannot be opened"),
        ("nope://x", "no SQLAlchemy URL|not supported"),
    ],
)
def test_a_database_that_cannot_be_opened_is_told_without_a_traceback(database, told, workspace):
    done = command("sql", database, HOW_MANY)
    assert done.returncode == 1
    assert re.search(told, done.stderr)
    assert "Traceback" not in done.stderr
    assert "s3cret" not in done.stderr


# -- graphs ----------------------------------------------------------------------------------------

COUNT_TOPICS = "MATCH (t:Topic) RETURN count(t) AS topics"
HOW_MANY_TOPICS = "How many topics are there?"


@pytest.fixture
def network(tmp_path):
    load = SHOP.parent.parent / "research_network" / "load.py"
    path = tmp_path / "network.lbug"
    subprocess.run([sys.executable, load, path], check=True, capture_output=True)
    return path


@pytest.fixture
def topics(served):
    """A model that answers one question about the research network."""
    script = Script().when("Write one read-only Cypher", reply={"query": COUNT_TOPICS})
    script.when("Answer the question from the rows", reply="There are 21 topics.")
    served(script)
    return script


def test_a_question_to_a_graph_is_answered_with_query_and_rows(topics, network):
    done = run("cypher", network, HOW_MANY_TOPICS)
    assert done.exit_code == 0
    for told in ("There are 21 topics.", COUNT_TOPICS, "topics", "21"):
        assert told in done.stdout
    printed = json.loads(run("cypher", network, HOW_MANY_TOPICS, "--json", "--quiet").stdout)
    assert printed["rows"] == [[21]]


def test_options_of_a_graph_are_heeded(topics, network):
    run("cypher", network, HOW_MANY_TOPICS, "--private", "Topic.*", "--exclude", "Venue")
    told = topics.calls[0].text
    assert "(:Topic)" in told
    assert "(:Venue)" not in told
    assert "Earth system" not in told


@pytest.mark.parametrize(
    ("database", "told"),
    [
        ("missing.lbug", "There is no database at missing.lbug"),
        ("bolt://u:s3cret@127.0.0.1:1", "cannot be reached"),
        ("http://localhost:7474", "There is no database at"),
    ],
)
def test_a_graph_that_cannot_be_opened_is_told_without_a_traceback(database, told, workspace):
    done = command("cypher", database, HOW_MANY_TOPICS)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert "s3cret" not in done.stderr


# -- the agent -------------------------------------------------------------------------------------

TASK = "What is 6 times 7?"


def calling(name, **arguments):
    return Reply(tool_calls=[{"name": name, "args": arguments}])


def test_an_agent_shows_its_steps_and_says_what_it_used(served):
    served(Script([calling("python", code="6 * 7"), "It is 42 [1]."]))
    done = run("agent", TASK, "--tools", "python")
    assert done.exit_code == 0
    assert '→ python {"code": "6 * 7"}' in done.stderr
    assert "[1] python, " in done.stderr
    assert done.stdout.splitlines() == ["It is 42 [1].", '[1] python: {"code": "6 * 7"}']


def test_an_agent_searches_documents_and_cites_them(served, index):
    served(Script([calling("search_documents", query="keep a book"), "Four weeks [1]."]))
    done = run("agent", QUESTION, "--tools", "documents", "--index", index, "--json", "--quiet")
    printed = json.loads(done.stdout)
    assert printed["answer"] == "Four weeks [1]."
    assert printed["citations"][0]["tool"] == "search_documents"
    assert printed["trace"][0]["outcome"] == "ok"


@pytest.fixture
def servers(tmp_path):
    file = tmp_path / "mcp.json"
    file.write_text(json.dumps({"mcpServers": {"ref": PROGRAM}}))
    return file


def test_a_call_that_may_write_is_rejected_where_nobody_can_approve_it(served, servers):
    script = Script([calling("ref_add", a=1, b=2), "Nobody approved it."])
    served(script)
    done = run("agent", TASK, "--tools", "", "--mcp", servers)
    assert done.exit_code == 0
    assert "The agent wants to call ref_add." in done.stderr
    assert "Resume with" not in done.stderr  # whoever is at a terminal answers in words
    assert "Nobody is there to approve it." in script.calls[1].text
    assert "ref_add rejected" in done.stderr


def test_a_tool_that_is_approved_beforehand_runs(served, servers):
    script = Script([calling("ref_add", a=1, b=2), "It is 3 [1]."])
    served(script)
    done = run("agent", TASK, "--tools", "", "--mcp", servers, "--approve", "ref_add")
    assert done.stdout.startswith("It is 3 [1].")
    assert "<untrusted>\n3\n</untrusted>" in script.calls[1].text


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--tools", "nonsense"], "There are no tools 'nonsense'. There are: web,"),
        (["--tools", "sql"], "The tools 'sql' need --database."),
        (["--tools", "documents", "--index", "missing"], "There is no index at 'missing'"),
        (["--tools", "python", "--approve", "shell"], "There is no tool 'shell'."),
    ],
)
def test_an_agent_that_cannot_be_made_is_told_without_a_traceback(options, told, workspace):
    done = command("agent", TASK, *options)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[]", "No MCP servers can be read from mcp.json"),
        ('{"mcpServers": 3}', "No MCP servers can be read from mcp.json"),
        ('{"mcpServers": {"a": 3}}', "The MCP server 'a' is a URL"),
    ],
)
def test_a_file_of_servers_that_is_none_is_told(content, told, workspace):
    (workspace / "mcp.json").write_text(content)
    done = command("agent", TASK, "--tools", "", "--mcp", "mcp.json")
    assert done.returncode == 1
    assert told in done.stderr
    assert "did not expect" not in done.stderr


@pytest.mark.parametrize("words", [["view"], ["mcp", "--http"]])
@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_port_that_there_is_not_is_refused(words, port):
    done = run(*words, "--port", port)
    assert done.exit_code == 2
    assert "--port" in done.stderr


# -- the chat --------------------------------------------------------------------------------------

CAT = {"text": "The user has a cat, Minka.", "kind": "fact", "message": 1}


def chatting():
    script = Script("Hello [m1].").when(
        None, system="Find what is worth", reply=[{"learnt": [CAT]}, *[{"learnt": []}] * 20]
    )
    return script.when(None, system="Keep the summary", reply={"summary": "Much was said."})


def talk(*lines, options=()):
    typed = "".join(f"{line}\n" for line in lines)
    return CliRunner().invoke(app, ["chat", *options], input=typed, catch_exceptions=False)


def test_a_conversation_goes_on_where_it_ended_and_remembers(served, workspace):
    script = chatting()
    served(script)
    first = run("chat", "My cat is called Minka.")
    assert first.stdout.splitlines() == ["Hello [m1].", "Corrected: Hello."]
    assert "+ The user has a cat, Minka." in first.stderr
    run("chat", "And a dog.", "--quiet")
    assert "My cat is called Minka." in [m.text for m in script.calls[-2].messages]
    other = run("chat", "What is my cat called?", "--thread", "new", "--json")
    printed = json.loads(other.stdout)
    assert printed["answer"] == "Hello [m1]."
    assert "cat" in printed["citations"][0]["text"]


def test_a_conversation_shows_and_edits_what_is_remembered(served, workspace):
    served(chatting())
    done = talk(
        "My cat is called Minka.",
        "/summary",
        "/history",
        "/memories",
        "/correct 1 The user has a dog.",
        "/correct 7 Nobody.",
        "/memories dog",
        "/forget all",
        "/memories",
        "/thread other",
        "/what",
        "/quit",
        "never sent",
    )
    assert done.exit_code == 0
    assert "None yet." in done.stdout
    assert "human My cat is called Minka." in done.stdout
    assert "1. The user has a cat, Minka. (fact, " in done.stdout
    assert "1. The user has a dog. (fact, " in done.stdout
    assert "Name one of the numbers" in done.stderr
    assert "Forgotten: " in done.stdout
    assert "Nothing is remembered." in done.stdout
    assert "Thread other." in done.stdout
    assert "/memories [about]" in done.stdout
    assert "never sent" not in done.stdout


def test_a_long_conversation_shows_its_summary(served, workspace):
    served(chatting())
    said = [f"This is message {n}: {'word ' * 120}" for n in range(12)]
    done = talk(*said, "/summary", options=["--max-tokens", "3000"])
    assert "Much was said." in done.stdout
    assert "older messages are now in the summary" in done.stderr


def test_a_model_that_is_down_ends_no_conversation(served, workspace):
    script = Script("fine").when(
        lambda messages: messages[-1].text == "first", reply=ValueError("broken")
    )
    served(script)
    done = talk("first", "second")
    assert done.exit_code == 0
    assert "Error:" in done.stderr
    assert "fine" in done.stdout


def test_a_memory_that_cannot_be_opened_is_told_without_a_traceback(workspace):
    (workspace / "memory.sqlite").write_text("no database " * 100)
    done = command("chat", "Hello", "--memory", "memory.sqlite")
    assert done.returncode == 1
    assert "cannot be used as memory" in done.stderr
    assert "Traceback" not in done.stderr
