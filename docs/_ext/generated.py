"""What the guides say that the code says itself: options and prompts, as Markdown."""

from collections.abc import Mapping
from html import escape
from typing import Any

from agentkit.graphs.context import GraphContext
from agentkit.prompts import TEXT, Prompt

_KINDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "mapping",
    "array": "list",
}


def options_table(context: type[GraphContext]) -> str:
    """A table of the fields of a context: name, default, values, description."""
    schema = context.model_json_schema()
    rows = [
        f"| `{name}` | {_default(told)} | {_values(told, schema)} | {_cell(told['description'])} |"
        for name, told in schema["properties"].items()
    ]
    return "\n".join(
        ["| option | default | values | what it is |", "| --- | --- | --- | --- |", *rows]
    )


def prompt_title(prompt: Prompt[Any]) -> str:
    """What a prompt is called, what it is told and what it writes, as HTML."""
    outputs = ", ".join(f"<code>{escape(name)}</code>" for name in prompt.output_fields)
    written = "text" if prompt.output_fields == (TEXT,) else outputs
    told = ", ".join(f"<code>{escape(name)}</code>" for name in prompt.inputs)
    return f"<code>{escape(prompt.name)}</code>: {told} → {written}"


def prompt_text(prompt: Prompt[Any]) -> str:
    """A prompt's instructions, and how many worked examples go with them."""
    examples = f"\n\nWith {len(prompt.demos)} worked examples." if prompt.demos else ""
    return f"{_escaped(prompt.instructions)}{examples}"


def _default(told: Mapping[str, Any]) -> str:
    default = told.get("default")
    if default in (None, {}, []):
        return "empty"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _values(told: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """What a field may be, in words."""
    if "$ref" in told:
        told = schema["$defs"][told["$ref"].rsplit("/", 1)[-1]]
    if "anyOf" in told:
        return ", or ".join(_values(each, schema) for each in told["anyOf"])
    if "enum" in told:
        return ", ".join(f"`{value}`" for value in told["enum"])
    kinds = told["type"] if isinstance(told["type"], list) else [told["type"]]
    named = ", or ".join("empty" if kind == "null" else _KINDS[kind] for kind in kinds)
    return named.replace("null", "empty") + _bounds(told)


def _bounds(told: Mapping[str, Any]) -> str:
    low, high = told.get("minimum"), told.get("maximum")
    if low is not None and high is not None:
        return f", {low:,g} to {high:,g}"
    if low is not None:
        return f", {low:,g} or more"
    return f", above {told['exclusiveMinimum']:g}" if "exclusiveMinimum" in told else ""


def _cell(text: str) -> str:
    return _escaped(" ".join(text.split())).replace("|", "\\|")


def _escaped(text: str) -> str:
    """Text as Markdown shows it as it is, but for code between backticks."""
    parts = text.split("`")
    for place in range(0, len(parts), 2):
        for mark in "\\*_[]<>":
            parts[place] = parts[place].replace(mark, f"\\{mark}")
    return "`".join(parts)
