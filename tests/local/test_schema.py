import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.local.schema import (
    MAX_ITEMS,
    MAX_NUMBER,
    MAX_STRING,
    bounded,
    json_grammar,
    tool_grammar,
)

SCALARS = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "minLength": 900},
        {"type": ["string", "null"]},
        {"type": "integer"},
        {"type": "integer", "minimum": 10**15},
        {"type": "number", "exclusiveMaximum": -(10**15)},
        {"type": "array"},
        {"type": "object"},
        {"title": "Anything"},
        {},
        True,
    ]
)
SCHEMAS = st.recursive(
    SCALARS,
    lambda inner: (
        st.builds(lambda part: {"type": "array", "items": part}, inner)
        | st.builds(lambda parts: {"anyOf": parts}, st.lists(inner, min_size=1, max_size=3))
        | st.builds(
            lambda parts: {"type": "object", "properties": parts},
            st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        )
        | st.builds(lambda part: {"$ref": "#/$defs/A", "$defs": {"A": part}}, inner)
    ),
    max_leaves=8,
)


def assert_bounded(schema):
    """Every part of a schema that could run on has an end that can be reached."""
    kinds = schema.get("type", [])
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        if kind == "string":
            assert schema["maxLength"] >= schema.get("minLength", 0)
        elif kind == "array":
            assert schema["maxItems"] >= schema.get("minItems", 0)
            assert_bounded(schema["items"])
        elif kind in ("integer", "number"):
            lower = schema.get("minimum", schema.get("exclusiveMinimum"))
            upper = schema.get("maximum", schema.get("exclusiveMaximum"))
            assert lower < upper
            assert kind == "integer" or schema["multipleOf"] > 0
        elif kind == "object" and "patternProperties" in schema:
            assert schema["maxProperties"] >= 1
            for further in schema["patternProperties"].values():
                assert_bounded(further)
    for part in [
        *schema.get("properties", {}).values(),
        *schema.get("$defs", {}).values(),
        *schema.get("anyOf", []),
    ]:
        assert_bounded(part)


@given(SCHEMAS)
def test_every_part_of_a_bounded_schema_has_an_end(schema):
    before = json.dumps(schema)
    once = bounded(schema)
    assert_bounded(once)
    assert bounded(once) == once
    assert json.dumps(schema) == before


def test_stated_bounds_are_kept():
    schema = {
        "type": "object",
        "properties": {
            "text": {"type": "string", "maxLength": 3},
            "list": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
            "share": {"type": "number", "minimum": 0, "maximum": 1, "multipleOf": 0.5},
            "choice": {"type": "string", "enum": ["yes", "no"]},
        },
        "additionalProperties": False,
    }
    assert bounded(schema) == schema


def test_missing_bounds_are_added():
    parts = bounded(
        {"properties": {"s": {"type": "string"}, "l": {"type": "array"}, "i": {"type": "integer"}}}
    )
    assert parts["additionalProperties"] is False
    assert parts["properties"]["s"]["maxLength"] == MAX_STRING
    assert parts["properties"]["l"]["maxItems"] == MAX_ITEMS
    assert parts["properties"]["i"] == {
        "type": "integer",
        "minimum": -MAX_NUMBER,
        "maximum": MAX_NUMBER,
    }


@pytest.mark.parametrize(("required", "starts"), [(True, "call_0 | call_1"), (False, "reply")])
def test_a_tool_grammar_offers_a_reply_unless_a_call_is_required(required, starts):
    grammar = tool_grammar({"add": {}, "get": {}}, required=required)
    [start] = [line for line in grammar.splitlines() if line.startswith("start:")]
    assert start.endswith(starts)


def test_a_json_grammar_carries_the_bounded_schema():
    assert f'"maxLength": {MAX_STRING}' in json_grammar({"type": "string"})
