"""JSON schemas as grammars for a weak model: everything that could run on for ever is bounded.

Grammars are written for LLGuidance (https://github.com/guidance-ai/llguidance), in its Lark
dialect, of which llama.cpp takes `%json {schema}` as a rule.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

MAX_STRING = 200
"""Characters of a string whose schema does not bound it; about 50 tokens."""
MAX_ITEMS = 8
"""Items of an array, and properties of an open object, whose schema does not bound them."""
MAX_NUMBER = 10**12
"""The magnitude of a number whose schema does not bound it."""
DECIMALS = 0.000001
"""The step of a number whose schema does not state one."""

_NAME = r'^[^"\\]{1,40}$'
"""The names of an open object's further properties."""
_SCALARS = ("string", "number", "boolean", "null")
_OPTIONS = {"whitespace_flexible": False, "lenient": True}
_REPLY = r"/[^{\s](.|\n)*/"
"""Plain text: anything that does not start as a tool call does."""


def bounded(schema: Any) -> dict[str, Any]:
    """A JSON schema whose every string, array, open object and number has an end.

    Bounds that the schema states are kept. An object that lists its properties is closed to
    others, and a schema that allows anything is narrowed to a scalar.
    """
    if not isinstance(schema, Mapping) or not schema.keys() - {"title", "description", "default"}:
        return bounded({"type": list(_SCALARS)})
    result = {key: _bounded_part(key, value) for key, value in schema.items()}
    declared = result.get("type", _implied_type(result))
    for kind in [declared] if isinstance(declared, str) else declared:
        _bound(kind, result)
    return result


def _bounded_part(key: str, value: Any) -> Any:
    if key in ("properties", "$defs", "definitions", "patternProperties"):
        return {name: bounded(part) for name, part in value.items()}
    if key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        return [bounded(part) for part in value]
    if key in ("items", "additionalProperties") and value is not False:
        return bounded(value)
    return value


def _implied_type(schema: Mapping[str, Any]) -> Sequence[str]:
    if "properties" in schema:
        return ["object"]
    if "items" in schema or "prefixItems" in schema:
        return ["array"]
    return []


def _bound(kind: str, schema: dict[str, Any]) -> None:
    if "enum" in schema or "const" in schema:
        return
    if kind == "string":
        schema.setdefault("maxLength", max(MAX_STRING, schema.get("minLength", 0)))
    elif kind == "array":
        schema.setdefault("items", bounded({}))
        schema.setdefault("maxItems", max(MAX_ITEMS, schema.get("minItems", 0)))
    elif kind == "object":
        _bound_object(schema)
    elif kind in ("integer", "number"):
        _bound_number(kind, schema)


def _bound_object(schema: dict[str, Any]) -> None:
    open_by_default = "properties" not in schema
    schema.setdefault("additionalProperties", bounded({}) if open_by_default else False)
    if schema["additionalProperties"] is not False:
        least = max(schema.get("minProperties", 0), len(schema.get("properties", ())))
        schema.setdefault("maxProperties", max(MAX_ITEMS, least))
        # a name could run on for ever; the names that the schema lists are not held to this
        schema["patternProperties"] = {_NAME: schema["additionalProperties"]}
        schema["additionalProperties"] = False


def _bound_number(kind: str, schema: dict[str, Any]) -> None:
    lower = schema.get("minimum", schema.get("exclusiveMinimum"))
    upper = schema.get("maximum", schema.get("exclusiveMaximum"))
    if lower is None:
        schema["minimum"] = -MAX_NUMBER - abs(upper or 0)
    if upper is None:
        schema["maximum"] = MAX_NUMBER + abs(lower or 0)
    if kind == "number":
        schema.setdefault("multipleOf", DECIMALS)


def json_grammar(schema: Mapping[str, Any]) -> str:
    """The grammar of the JSON texts that a schema allows, within `bounded`'s bounds."""
    return f"%llguidance {{}}\nstart: {_json_rule(schema)}\n"


def tool_grammar(
    tools: Mapping[str, Mapping[str, Any]],
    *,
    required: bool,
    answer: Mapping[str, Any] | None = None,
) -> str:
    """The grammar of a call of one of some tools or, unless that is required, of a reply.

    Args:
        tools: The schema of each tool's arguments, by the tool's name.
        required: Whether a tool must be called.
        answer: The schema of a reply; None for plain text.
    """
    starts = [f"call_{number}" for number in range(len(tools))]
    rules = [
        f"call_{number}: {json.dumps(call_prefix(name))} arguments_{number} {json.dumps('}')}\n"
        f"arguments_{number}: {_json_rule(arguments)}"
        for number, (name, arguments) in enumerate(tools.items())
    ]
    if not required:
        starts.append("reply")
        rules.append(f"reply: {_REPLY if answer is None else _json_rule(answer)}")
    return "\n".join(["%llguidance {}", f"start: {' | '.join(starts)}", *rules, ""])


def call_prefix(tool: str) -> str:
    """How the JSON text of a tool's call begins, up to its arguments."""
    return f'{{"name": {json.dumps(tool)}, "arguments": '


def _json_rule(schema: Mapping[str, Any]) -> str:
    return f"%json {json.dumps({**bounded(schema), 'x-guidance': _OPTIONS})}"
