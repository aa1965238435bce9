"""Docstrings as Napoleon and RST read them: ours are written as Markdown is."""

import ast
import inspect
import re
import sys

from sphinx.application import Sphinx
from sphinx.ext.napoleon import GoogleDocstring
from sphinx.pycode import ModuleAnalyzer

_FENCE = re.compile(r"^( *)```\w*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_RETURNS = re.compile(r"^(Returns|Yields):\n(?: +\S.*\n|\n)*", re.MULTILINE)
_CODE = re.compile(r"(``.+?``|`[^`]+`)(\w?)", re.DOTALL)
"""Code in a sentence; RST needs to be told where it ends in `Example`s."""
_COLON = "\ue000"


def from_where_it_is(
    _app: Sphinx, kind: str, name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Take what is said of a constant from the module that its package takes it from."""
    package, _, last = name.rpartition(".")
    if kind != "data" or package not in sys.modules:
        return
    for statement in ast.walk(ast.parse(inspect.getsource(sys.modules[package]))):
        taken = [each.name for each in getattr(statement, "names", ())]
        if isinstance(statement, ast.ImportFrom) and last in taken:
            told = ModuleAnalyzer.for_module(str(statement.module)).find_attr_docs()
            lines[:] = told.get(("", last), lines)


def before_napoleon(
    app: Sphinx, kind: str, _name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Make literal blocks of fenced code, and hide colons where none is behind a type.

    Our docstrings give no types, and Napoleon looks for one before a colon.
    """
    text = "\n".join([*lines, ""])
    text = _FENCE.sub(lambda found: f"{found[1]}::\n\n{_indented(found[2])}", text)
    text = _CODE.sub(lambda found: f"{found[1]}\\ {found[2]}" if found[2] else found[0], text)
    text = _RETURNS.sub(lambda found: f"{found[1]}:\n{_hidden(found)}", text)
    if kind in ("attribute", "property", "data"):  # whose sections it does not read
        text = str(GoogleDocstring(text, app.config, app)).replace(":", _COLON)
    lines[:] = text.split("\n")


def after_napoleon(
    _app: Sphinx, _kind: str, _name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Show the colons again."""
    lines[:] = [line.replace(_COLON, ":") for line in lines]


def _indented(text: str) -> str:
    return re.sub(r"(?m)^(?=.)", "    ", text)


def _hidden(section: re.Match[str]) -> str:
    return section[0].partition("\n")[2].replace(":", _COLON)
