"""Annotations as Sphinx can show them.

They are strings in our modules, some of names that only type checkers see, and a class's own are
not those of what makes it.
"""

import ast
import contextlib
import inspect
import pkgutil
from importlib import import_module
from types import ModuleType
from typing import Any, get_type_hints

from langchain_core.messages import BaseMessage
from pydantic import BaseModel

import agentkit
from docs._ext.graphs import GRAPHS


def settle_annotations(*_: Any) -> None:
    """Put objects in the place of all annotations of agentkit's classes."""
    for make in GRAPHS.values():
        make()  # before the states lose what only LangGraph reads
    modules = [
        import_module(found.name)
        for found in pkgutil.walk_packages(agentkit.__path__, "agentkit.")
        if ".templates" not in found.name
    ]
    for module in modules:
        _import_all(module)
    for module in modules:
        for _, each in inspect.getmembers(module, inspect.isclass):
            if each.__module__ == module.__name__:
                _settle(each)


def _import_all(module: ModuleType) -> None:
    """Import what is imported for type checkers alone, and read aliases that are strings."""
    names = vars(module)
    for block in ast.parse(inspect.getsource(module)).body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            code = compile(ast.Module(block.body, []), str(module.__file__), "exec")
            exec(code, names)  # noqa: S102 - it is ours
    for name, kind in inspect.get_annotations(module).items():
        if kind == "TypeAlias" and isinstance(names[name], str):
            names[name] = eval(names[name], names)  # noqa: S307 - as above
    if "AnyMessage" in names:  # a union of all classes, with what tells them apart
        names["AnyMessage"] = BaseMessage


def _settle(made: type) -> None:
    """Give a class's own annotations, and those of what makes it, as objects."""
    with contextlib.suppress(TypeError, NameError):
        hints, own = get_type_hints(made), inspect.get_annotations(made)
        made.__annotations__ = {name: hint for name, hint in hints.items() if name in own}
        if issubclass(made, BaseModel):
            told = inspect.signature(made)
            fields = [p.replace(annotation=hints.get(n)) for n, p in told.parameters.items()]
            made.__signature__ = told.replace(parameters=fields)
    init = vars(made).get("__init__")
    if inspect.isfunction(init) and not issubclass(made, BaseModel):
        with contextlib.suppress(TypeError, NameError):
            init.__annotations__ = get_type_hints(init)
