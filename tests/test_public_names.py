"""What importing costs, and that every public name is there."""

import importlib
import subprocess
import sys

import pytest

HEAVY = [
    "langchain",
    "langchain_core",
    "langgraph",
    "pydantic",
    "lancedb",
    "numpy",
    "llama_index",
    "openai",
    "xllamacpp",
    "dspy",
    "gepa",
    "httpx",
    "litellm",
]


def imported_by(program):
    check = f"{program}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_imports_nothing_heavy():
    assert imported_by("import agentkit") == set()


def test_importing_the_command_line_imports_nothing_heavy():
    assert imported_by("import agentkit.cli") == set()


def test_importing_the_package_of_evaluation_imports_nothing_heavy():
    assert imported_by("import agentkit.evaluation") == set()


def test_importing_the_package_of_optimization_imports_nothing_heavy():
    assert imported_by("import agentkit.optimization") == set()


def test_dspy_is_imported_when_an_optimizer_of_its_is_wanted():
    found = imported_by("from agentkit import optimize; from agentkit.optimization import Budget")
    assert found.isdisjoint({"dspy", "gepa", "litellm"})


def test_importing_a_graph_imports_no_extra():
    found = imported_by("from agentkit import create_rag, create_hyde_rag, create_fusion_rag")
    assert found.isdisjoint({"lancedb", "numpy", "llama_index", "openai", "xllamacpp"})


@pytest.mark.parametrize(
    "package",
    [
        "agentkit",
        "agentkit.evaluation",
        "agentkit.optimization",
        "agentkit.retrieval",
        "agentkit.local",
        "agentkit.tools",
        "agentkit.middleware",
        "agentkit.evaluation.metrics",
    ],
)
def test_every_public_name_can_be_imported(package):
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = module.nonsense


@pytest.mark.parametrize(
    "name",
    [
        "agentkit",
        "agentkit.evaluation",
        "agentkit.optimization",
        "agentkit.retrieval",
        "agentkit.tools",
        "agentkit.middleware",
        "agentkit.evaluation.metrics",
    ],
)
def test_what_is_imported_when_used_is_what_is_listed(name):
    listed = f"import {name} as p; print(*[n for n in dir(p) if n in p.__all__])"
    done = subprocess.run(
        [sys.executable, "-c", listed], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == sorted(importlib.import_module(name).__all__)
