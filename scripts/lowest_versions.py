"""Print a constraints file that pins every direct dependency to its lower bound."""

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"


def main() -> None:
    content = tomllib.loads(PYPROJECT.read_text())
    project = content["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    groups.append(content["dependency-groups"]["test"])
    pins = set()
    for requirement in (requirement for group in groups for requirement in group):
        if bound := re.fullmatch(r"([\w.-]+)(?:\[[\w,-]+\])?>=([\w.]+)(?:,<[\w.]+)?", requirement):
            pins.add(f"{bound[1]}=={bound[2]}")
    print("\n".join(sorted(pins, key=str.lower)))


if __name__ == "__main__":
    main()
