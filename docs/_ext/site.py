"""What the site needs of Sphinx: directives for what the code says, and names that are found."""

import sys
from importlib import import_module
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from pydantic import BaseModel
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.domains.python import PythonDomain
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from agentkit import draw, prompts_of
from docs._ext.annotations import settle_annotations
from docs._ext.docstrings import after_napoleon, before_napoleon, from_where_it_is
from docs._ext.generated import options_table, prompt_text, prompt_title
from docs._ext.graphs import GRAPHS


class Options(SphinxDirective):
    """The fields of a context, as a table."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The table."""
        module, _, name = self.arguments[0].rpartition(".")
        table, *rest = self.parse_text_to_nodes(options_table(getattr(import_module(module), name)))
        table["classes"].append("options")  # type: ignore[index]
        return [table, *rest]


class Prompts(SphinxDirective):
    """The prompts of a graph, each to be opened; without those whose names begin otherwise."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"without": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """The prompts."""
        without = tuple(self.options.get("without", "").split())
        shown: list[nodes.Node] = []
        for name, prompt in prompts_of(GRAPHS[self.arguments[0]]()).items():
            if not (without and name.startswith(without)):
                opened = f'<details class="prompt"><summary>{prompt_title(prompt)}</summary>'
                shown.append(nodes.raw("", opened, format="html"))
                shown += self.parse_text_to_nodes(prompt_text(prompt))
                shown.append(nodes.raw("", "</details>", format="html"))
        return shown


class GraphDrawing(SphinxDirective):
    """A graph, drawn."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"xray": directives.flag}
    has_content = True

    def run(self) -> list[nodes.Node]:
        """The drawing, with what is said of it below."""
        drawing = draw(GRAPHS[self.arguments[0]](), xray="xray" in self.options)
        caption = self.parse_content_to_nodes()
        return [
            nodes.raw(
                "",
                f'<figure class="graph"><div class="drawing">{drawing.html}</div><figcaption>',
                format="html",
            ),
            *caption,
            nodes.raw("", "</figcaption></figure>", format="html"),
        ]


def without_signature(
    _app: Sphinx, kind: str, _name: str, obj: Any, *_: Any
) -> tuple[str, None] | None:
    """Leave out the signature of what is made of fields, which are listed below it."""
    if kind == "class" and issubclass(obj, BaseModel):
        return "", None
    return None


def skip_pydantics(
    _app: Sphinx, _kind: str, name: str, _obj: object, _skip: bool, _options: object
) -> bool | None:
    """Leave out what pydantic adds to its classes."""
    return True if name.startswith("model_") else None


def found_elsewhere(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.Element
) -> nodes.Element | None:
    """What a name stands for that is documented under another: where its package has it."""
    domain = env.get_domain("py")
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not isinstance(domain, PythonDomain):
        return None
    wanted = _object_named(target)
    last = target.rsplit(".", 1)[-1]
    for name in sorted(domain.objects, key=len):
        if name.rsplit(".", 1)[-1] != last:
            continue
        if (wanted is None and "." not in target) or wanted is _object_named(name) is not None:
            return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, shown)
    return None


def _object_named(name: str) -> Any:
    """The object of a dotted name; None where there is none."""
    module, _, last = name.rpartition(".")
    while module:
        if module in sys.modules:
            found: Any = sys.modules[module]
            for part in last.split("."):
                found = getattr(found, part, None)
            return found
        module, _, more = module.rpartition(".")
        last = f"{more}.{last}"
    return None


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add all of it."""
    app.add_directive("options", Options)
    app.add_directive("prompts", Prompts)
    app.add_directive("drawing", GraphDrawing)
    app.connect("builder-inited", settle_annotations)
    app.connect("autodoc-process-docstring", from_where_it_is, priority=50)
    app.connect("autodoc-process-docstring", before_napoleon, priority=100)
    app.connect("autodoc-process-docstring", after_napoleon, priority=900)
    app.connect("autodoc-process-signature", without_signature)
    app.connect("autodoc-skip-member", skip_pydantics)
    app.connect("missing-reference", found_elsewhere)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
