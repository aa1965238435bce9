"""Makes a Ladybug database of the research network: `python load.py network.lbug`."""

import sys
import tempfile
from pathlib import Path

import ladybug

HERE = Path(__file__).parent


def load(path: Path) -> Path:
    """Make the database at a path, where there is none yet; half of one is never left there."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        with ladybug.Database(str(made)) as database, ladybug.Connection(database) as connection:
            connection.execute("BEGIN TRANSACTION")
            for name in ("tables.cypher", "graph.cypher"):
                for statement in (HERE / name).read_text(encoding="utf-8").splitlines():
                    connection.execute(statement)
            connection.execute("COMMIT")
        made.replace(path)
    return path


if __name__ == "__main__":
    print(load(Path(sys.argv[1] if len(sys.argv) > 1 else "network.lbug")))
