"""Run the notebooks of `examples/notebooks`, and keep their outputs: `make notebooks`."""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "examples" / "notebooks"


def main() -> None:
    wanted = [FOLDER / name for name in sys.argv[1:]] or sorted(FOLDER.glob("*.ipynb"))
    os.environ["LANGSMITH_TRACING"] = "false"
    for path in wanted:
        nbformat.write(executed(path), path)
        print(path.name)


def executed(path: Path, *, folder: Path = FOLDER, seconds: int = 300) -> nbformat.NotebookNode:
    """A notebook with its outputs, without what differs from run to run."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=seconds, kernel_name="python3", resources={"metadata": {"path": folder}}
    ).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            # progress and warnings go to standard error: they say nothing of the result
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
    notebook.metadata.pop("language_info", None)
    return notebook


if __name__ == "__main__":
    main()
