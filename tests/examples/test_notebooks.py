"""The notebooks run, each in less than five minutes, and hold their outputs."""

import nbformat
import pytest

from scripts.notebooks import FOLDER, executed

pytestmark = [pytest.mark.local, pytest.mark.timeout(900)]

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def outputs(notebook):
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [output for cell in cells for output in cell.outputs]


def test_there_is_one_for_each_kind_of_graph():
    names = {path.stem for path in NOTEBOOKS}
    assert names >= {
        "documents_to_tuned_graph",
        "memory_chat",
        "rag",
        "router",
        "text_to_cypher",
        "text_to_sql",
        "tool_agent",
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_it_did(path, tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = executed(path)
    assert [each for each in outputs(notebook) if each.output_type == "error"] == []
    assert any("text/html" in each.get("data", {}) for each in outputs(notebook))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_kept_and_tell_of_no_machine(path):
    kept = outputs(nbformat.read(path, as_version=4))
    assert kept
    assert not any("/tmp/" in str(each) or "/home/" in str(each) for each in kept)
