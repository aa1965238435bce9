"""Metadata filters: conditions on a document's metadata, as LanceDB evaluates them.

Metadata is open-ended, so a row of the index keeps it in three forms: as JSON text, which gives it
back exactly; as a list of *terms*, one a value, which answers equality; and as a JSON object of its
numbers and strings, each kind under names of its own so that a field may hold both, which answers
comparisons.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from agentkit.errors import InvalidInputError

Where: TypeAlias = Mapping[str, Any]
"""A metadata filter.

`{"source": "a.md"}` compares a field with a string, number, bool or None; a field that holds a list
matches when one of its items does. A dotted name reaches into nested dicts: `{"author.name": …}`.
`{"year": {"$gte": 2020, "$lt": 2024}}` takes the operators `$eq`, `$ne`, `$gt`, `$gte`, `$lt`,
`$lte`, `$in` and `$nin`. Several fields must all match; `{"$or": [where, …]}` and
`{"$and": [where, …]}` combine whole filters. A document without the field matches only `$ne` and
`$nin`. Numbers compare with numbers, as 64-bit floats, and strings with strings, by code point.
"""

TERMS = "terms"
ORDERED = "ordered"

_LONGEST_TERM = 256
_COMPARISONS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}


def terms_of(metadata: Mapping[str, Any]) -> list[str]:
    """The terms of a document's metadata: one for each value of each field."""
    return sorted({_term(path, value) for path, value in _values(metadata)})


def ordered_of(metadata: Mapping[str, Any]) -> dict[str, float | str]:
    """The numbers and short strings of a document's metadata, by field."""
    ordered: dict[str, float | str] = {}
    for path, value in _values(metadata, lists=False):
        if isinstance(value, str) and len(value) <= _LONGEST_TERM:
            ordered[_ordered_name(path, value)] = _storable(value)
        elif _is_number(value) and (number := _float(value)) is not None:
            ordered[_ordered_name(path, value)] = number
    return ordered


def condition_of(where: Where | None) -> str | None:
    """The SQL condition that a filter means, or None when it lets everything pass.

    Raises:
        InvalidInputError: When the filter is not of the form that `Where` describes.
    """
    if where is None:
        return None
    if not isinstance(where, Mapping):
        raise InvalidInputError(
            f"A filter is a dict of metadata fields and values; got {type(where).__name__}."
        )
    return _joined("AND", [_clause(field, wanted) for field, wanted in where.items()])


def one_of(column: str, values: Sequence[str]) -> str:
    """The SQL condition that a text column holds one of these values."""
    return f"{column} IN ({', '.join(map(_quoted, values))})" if values else "false"


def _clause(field: str, wanted: Any) -> str:
    if not isinstance(field, str):
        raise InvalidInputError(f"A metadata field is named by a string; got {field!r}.")
    if field in ("$and", "$or"):
        return _combination(field, wanted)
    if field.startswith("$"):
        raise InvalidInputError(f"Filters are combined with $and and $or; got {field!r}.")
    if not isinstance(wanted, Mapping):
        return _equals(field, wanted)
    if not wanted or not all(operator in _OPERATORS for operator in wanted):
        raise InvalidInputError(
            f"The filter on {field!r} takes a value or a dict of the operators "
            f"{', '.join(_OPERATORS)}; got {dict(wanted)!r}. "
            f"A nested field is named with dots, such as '{field}.name'."
        )
    clauses = [_OPERATORS[operator](field, value) for operator, value in wanted.items()]
    return _joined("AND", clauses) or "true"


def _combination(operator: str, filters: Any) -> str:
    if not isinstance(filters, (list, tuple)) or not filters:
        raise InvalidInputError(f"{operator} takes a list of filters; got {filters!r}.")
    clauses = [condition_of(where) or "true" for where in filters]
    return _joined("AND" if operator == "$and" else "OR", clauses) or "true"


def _joined(word: str, clauses: Sequence[str]) -> str | None:
    return f"({f' {word} '.join(clauses)})" if clauses else None


def _equals(field: str, value: Any) -> str:
    return f"array_has({TERMS}, {_quoted(_term(field, _scalar(field, value)))})"


def _differs(field: str, value: Any) -> str:
    return f"NOT {_equals(field, value)}"


def _in(field: str, values: Any) -> str:
    if not isinstance(values, (list, tuple, set, frozenset)):
        raise InvalidInputError(f"$in and $nin on {field!r} take a list; got {values!r}.")
    terms = sorted({_term(field, _scalar(field, value)) for value in values})
    return f"array_has_any({TERMS}, [{', '.join(map(_quoted, terms))}])" if terms else "false"


def _not_in(field: str, values: Any) -> str:
    return f"NOT {_in(field, values)}"


def _comparison(operator: str) -> Callable[[str, Any], str]:
    def compare(field: str, value: Any) -> str:
        name = _quoted(_ordered_name(field, value))
        if isinstance(value, str):
            literal, getter = _quoted(_storable(value)), "json_get_string"
        elif _is_number(value) and (number := _float(value)) is not None:
            literal, getter = repr(number), "json_get_float"
        else:
            raise InvalidInputError(
                f"{operator} on {field!r} compares with a finite number or a string; got {value!r}."
            )
        return f"{getter}({ORDERED}, {name}) {_COMPARISONS[operator]} {literal}"

    return compare


_OPERATORS: dict[str, Callable[[str, Any], str]] = {
    "$eq": _equals,
    "$ne": _differs,
    **{operator: _comparison(operator) for operator in _COMPARISONS},
    "$in": _in,
    "$nin": _not_in,
}


def _values(value: Any, path: str = "", *, lists: bool = True) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} is not a string")
            yield from _values(item, f"{path}.{key}" if path else key, lists=lists)
    elif isinstance(value, (list, tuple)):
        for item in value if lists else ():
            yield from _values(item, path)
    else:
        yield path, value


def _term(path: str, value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = json.dumps(value)
    if len(text) > _LONGEST_TERM:
        text = "#" + hashlib.sha256(text.encode()).hexdigest()
    return f"{json.dumps(path)}={text}"


def _scalar(field: str, value: Any) -> Any:
    finite = not isinstance(value, float) or math.isfinite(value)
    if finite and (value is None or isinstance(value, (str, int, float))):
        return value
    raise InvalidInputError(
        f"The filter on {field!r} compares with a string, a finite number, a bool or None; "
        f"got {value!r}. One of several values is asked for with $in."
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _float(number: float) -> float | None:
    try:
        converted = float(number)
    except OverflowError:
        return None
    return converted if math.isfinite(converted) else None


def _ordered_name(path: str, value: Any) -> str:
    return ("s:" if isinstance(value, str) else "n:") + _storable(path)


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
