"""Datasets: read from files, rows and frames, checked, divided, and compared for leaks."""

from __future__ import annotations

import csv
import difflib
import io
import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from agentkit._text import shortened
from agentkit.errors import ConfigurationError, DatasetError
from agentkit.evaluation.examples import Example
from agentkit.retrieval.words import folded_words

if TYPE_CHECKING:
    from langchain_core.documents import Document

Source: TypeAlias = str | Path | Iterable[Any] | Any
"""A file, a BEIR folder, rows (mappings or examples), or a pandas or polars DataFrame."""

_INPUTS = ("question", "messages")
_NOT_EXPECTED = frozenset({"id", "inputs", "expected", *_INPUTS})
_TEXTS = frozenset({"id", "question", "answer", "query"})
"""Columns of a CSV file whose cells are text, whatever they look like."""

_Row: TypeAlias = tuple[str, Mapping[str, Any]]
"""Where a row stands, as an error says it, and its fields."""


def load_dataset(source: Source, *, fields: Mapping[str, str] | None = None) -> list[Example]:
    """Read and check a dataset.

    Of a row's fields `question`, `messages` and those of a mapping `inputs` are what the graph is
    given. All others, and those of a mapping `expected`, are what metrics compare with: `answer`,
    `documents` (ids, or grades by id), `query`, and so on. `id` names the row; a row without one
    is named by its number. A field that is None, or an empty cell, is not there.

    Args:
        source: A `.jsonl`, `.json`, `.csv` or `.tsv` file in UTF-8; a folder in the layout of BEIR
            (`queries.jsonl` and `qrels.tsv`, or `qrels/test.tsv`); a list of mappings or
            `Example`s; or a pandas or polars DataFrame. In a CSV file's cells lists and mappings
            are written as JSON.
        fields: What the dataset calls a field, by our name: `{"query": "gold_sql"}`.

    Returns:
        The examples, in the order of the source.

    Raises:
        DatasetError: When nothing can be read, a row is malformed (it says which and why), an id
            is there twice, or there is no row.

    Source: Thakur et al. 2021, "BEIR", for the layout of retrieval datasets.
    """
    name, rows = _rows(source)
    renamed = ((where, _renamed(row, fields or {}, where)) for where, row in rows)
    examples = _identified(list(renamed))
    if not examples:
        raise DatasetError(f"{name} holds no example.")
    return examples


def load_corpus(folder: str | Path) -> list[Document]:
    """The documents of a BEIR folder's `corpus.jsonl`, with their ids, to index and search.

    Each holds its title and its text; a text that begins with its title is taken as it is.

    Raises:
        DatasetError: When the file is missing or malformed.
    """
    from langchain_core.documents import Document

    documents = []
    for where, row in _jsonl(Path(folder) / "corpus.jsonl"):
        key, text, title = row.get("_id"), row.get("text"), row.get("title") or ""
        if not _is_name(key) or not isinstance(text, str) or not isinstance(title, str):
            _reject(where, f"a document has `_id`, `text` and perhaps `title`; got {_shown(row)}")
        joined = text if not title or text.startswith(title) else f"{title}\n{text}"
        metadata = {"title": title} if title else {}
        documents.append(Document(joined, id=str(key), metadata=metadata))
    return documents


def split(
    examples: Sequence[Example], shares: Sequence[float], *, seed: int = 0
) -> tuple[list[Example], ...]:
    """Divide examples at random into lists, such as one to tune on and one to judge by.

    Examples that ask the same (see `leaks`) come into the same list. A list keeps the order of
    the examples; with few of them, one of a small share may be empty.

    Args:
        examples: The examples; each comes into exactly one list.
        shares: The share of each list, from 0 to 1; together 1.
        seed: The same examples, shares and seed give the same lists.

    Raises:
        ConfigurationError: When the shares are not such numbers.
    """
    if not all(0 <= share <= 1 for share in shares) or not math.isclose(sum(shares), 1):
        raise ConfigurationError(f"Shares are numbers from 0 to 1 with the sum 1; got {shares}.")
    groups = list(_by_what_is_asked(examples).values())
    random.Random(seed).shuffle(groups)  # noqa: S311 - nothing secret
    room = _sizes(len(examples), shares)
    chosen: list[list[int]] = [[] for _ in shares]
    for group in groups:
        # the first list that has room for all; else the one with the most room
        fits = [place for place, left in enumerate(room) if left >= len(group)]
        place = fits[0] if fits else max(range(len(room)), key=room.__getitem__)
        chosen[place].extend(group)
        room[place] -= len(group)
    return tuple([examples[place] for place in sorted(places)] for places in chosen)


def leaks(a: Sequence[Example], b: Sequence[Example]) -> list[tuple[Example, Example]]:
    """The pairs of an example of `a` and one of `b` that ask the same.

    What is asked is the same when the inputs are, apart from case, space and punctuation.
    """
    asked = _by_what_is_asked(b)
    return [(x, b[place]) for x in a for place in asked.get(_asked(x), ())]


def duplicates(examples: Sequence[Example]) -> list[list[Example]]:
    """The groups of two and more examples that ask the same (see `leaks`)."""
    groups = _by_what_is_asked(examples).values()
    return [[examples[place] for place in group] for group in groups if len(group) > 1]


def _by_what_is_asked(examples: Sequence[Example]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = defaultdict(list)
    for place, example in enumerate(examples):
        groups[_asked(example)].append(place)
    return groups


def _asked(example: Example) -> str:
    """The inputs, apart from case, space and punctuation; one message counts as a question."""
    told = " ".join(_texts(example.inputs))
    return folded_words(told) or " ".join(told.split())


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name in sorted(value, key=str):
            if name == "messages" and isinstance(value[name], Sequence):
                yield from (Example("", {"messages": [m]}).question for m in value[name])
            else:
                yield from _texts(value[name])
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for item in value:
            yield from _texts(item)
    else:
        yield str(value)


def _sizes(count: int, shares: Sequence[float]) -> list[int]:
    """The sizes of the lists, by the method of the largest remainder."""
    exact = [count * share for share in shares]
    sizes = [math.floor(size + 1e-9) for size in exact]
    by_remainder = sorted(range(len(shares)), key=lambda place: sizes[place] - exact[place])
    for place in by_remainder[: count - sum(sizes)]:
        sizes[place] += 1
    return sizes


# --- from rows to examples


def _identified(rows: Sequence[tuple[str, Example | Mapping[str, Any]]]) -> list[Example]:
    """The examples, each with an id that no other has."""
    given = {_given_id(row, where) for where, row in rows}
    examples: list[Example] = []
    places: dict[str, str] = {}
    for number, (where, row) in enumerate(rows, 1):
        spare = str(number) if str(number) not in given else f"row {number}"
        example = _example(row, _given_id(row, where) or spare, where)
        if (other := places.setdefault(example.id, where)) != where:
            _reject(where, f"the id {example.id!r} is already that of {other}")
        examples.append(example)
    return examples


def _given_id(row: Example | Mapping[str, Any], where: str) -> str:
    given = row.id if isinstance(row, Example) else row.get("id")
    if given is None or given == "":
        return ""
    if not _is_name(given):
        _reject(where, f"`id` is a text or a number; got {_shown(given)}")
    return str(given)


def _example(row: Example | Mapping[str, Any], key: str, where: str) -> Example:
    if isinstance(row, Example):
        _check_inputs(row.inputs, where)
        return row if row.id == key else Example(key, row.inputs, row.expected)
    inputs = {**_mapping(row, "inputs", where), **_kept(row, _INPUTS)}
    if not inputs:
        _reject(where, _no_question(row))
    _check_inputs(inputs, where)
    others = _kept(row, [name for name in row if name not in _NOT_EXPECTED])
    expected = {**others, **_mapping(row, "expected", where)}
    if "documents" in expected:
        expected["documents"] = _judged(expected["documents"], where)
    return Example(key, inputs, expected)


def _kept(row: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: row[name] for name in names if row.get(name) is not None}


def _mapping(row: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    value = row.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        _reject(where, f"`{name}` is a mapping; got {_shown(value)}")
    return value


def _check_inputs(inputs: Mapping[str, Any], where: str) -> None:
    if not isinstance(inputs, Mapping) or not inputs:
        _reject(where, f"the inputs are a mapping that is not empty; got {_shown(inputs)}")
    question, messages = inputs.get("question"), inputs.get("messages")
    if question is not None and not (isinstance(question, str) and question.strip()):
        _reject(where, f"`question` is a text that is not empty; got {_shown(question)}")
    if messages is not None and (
        not isinstance(messages, Sequence) or isinstance(messages, str) or not messages
    ):
        _reject(where, f"`messages` is a list that is not empty; got {_shown(messages)}")


def _judged(documents: Any, where: str) -> Any:
    """The ids of documents as texts, with their grades where they have any."""
    if isinstance(documents, Mapping):
        grades = list(documents.values())
        if not all(isinstance(g, int | float) and math.isfinite(g) for g in grades):
            _reject(where, f"the grades of `documents` are numbers; got {_shown(documents)}")
        return {str(key): grade for key, grade in documents.items()}
    if _is_name(documents):
        return [str(documents)]
    if not isinstance(documents, Iterable):
        _reject(where, f"`documents` is a list of ids, or grades by id; got {_shown(documents)}")
    return [str(item) if _is_name(item) else item for item in documents]


def _is_name(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def _no_question(row: Mapping[str, Any]) -> str:
    names = [str(name) for name in row]
    if empty := [name for name in _INPUTS if name in row]:
        return f"there is no question: its `{empty[0]}` is empty"
    near = [name for ours in _INPUTS for name in difflib.get_close_matches(ours, names, n=1)]
    hint = f' Is {near[0]!r} meant? Then give fields={{"question": {near[0]!r}}}.' if near else ""
    return (
        "there is no question: a row needs `question`, `messages` or a mapping `inputs`; it has "
        f"{', '.join(names) or 'nothing'}.{hint}"
    )


def _renamed(
    row: Example | Mapping[str, Any], fields: Mapping[str, str], where: str
) -> Example | Mapping[str, Any]:
    """The row under our names; a field of ours that has another source is not its own."""
    if isinstance(row, Example) or not fields:
        return row
    if lacking := [theirs for theirs in fields.values() if theirs not in row]:
        _reject(where, f"there is no field {', '.join(lacking)}; it has {', '.join(map(str, row))}")
    taken = {*fields, *fields.values()}
    others = {name: value for name, value in row.items() if name not in taken}
    return {**others, **{ours: row[theirs] for ours, theirs in fields.items()}}


def _reject(where: str, problem: str) -> NoReturn:
    raise DatasetError(f"{where}: {problem.rstrip('.')}.")


def _shown(value: object) -> str:
    return shortened(repr(value), 120)


# --- from sources to rows


def _rows(source: Source) -> tuple[str, Iterator[tuple[str, Example | Mapping[str, Any]]]]:
    """What the source is called, and its rows."""
    if isinstance(source, str | Path):
        return str(source), _file_rows(Path(source))
    name = "The dataset"
    if hasattr(source, "to_dicts"):  # polars
        return name, _listed(source.to_dicts())
    if hasattr(source, "to_dict") and hasattr(source, "columns"):  # pandas
        return name, _listed(_records(source))
    if isinstance(source, Mapping | bytes) or not isinstance(source, Iterable):
        raise DatasetError(
            "A dataset is a file, a BEIR folder, a list of mappings or a DataFrame; got "
            f"{type(source).__name__}."
        )
    return name, _listed(source)


def _listed(rows: Iterable[Any]) -> Iterator[tuple[str, Example | Mapping[str, Any]]]:
    for number, row in enumerate(rows, 1):
        where = f"Row {number}"
        if not isinstance(row, Example | Mapping):
            _reject(where, f"a row is a mapping or an Example; got {_shown(row)}")
        yield where, row


def _records(frame: Any) -> list[dict[str, Any]]:
    """The rows of a pandas DataFrame as Python's own values, None where a cell is missing."""
    names = [str(name) for name in frame.columns]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DatasetError(f"The DataFrame has several columns called {', '.join(twice)}.")
    plain = frame.astype(object).where(frame.notna(), None)
    return [
        dict(zip(names, map(_python, values), strict=True))
        for values in plain.itertuples(index=False, name=None)
    ]


def _python(value: Any) -> Any:
    """A value of NumPy as one of Python."""
    return value.tolist() if hasattr(value, "tolist") else value


def _file_rows(path: Path) -> Iterator[_Row]:
    if path.is_dir():
        return _beir(path)
    read = {
        ".jsonl": _jsonl,
        ".ndjson": _jsonl,
        ".json": _json,
        ".csv": _csv,
        ".tsv": _csv,
    }.get(path.suffix.lower())
    if read is None:
        raise DatasetError(
            f"{path} is no dataset: it should be a .jsonl, .json, .csv or .tsv file, or a folder "
            "with queries.jsonl and qrels.tsv."
        )
    return read(path)


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}.") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"{path}, line {line}: this is not UTF-8. Save it as UTF-8.") from error


def _jsonl(path: Path) -> Iterator[_Row]:
    # not splitlines: JSON may hold U+2028 and its like as they are
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            where = f"{path}, line {number}"
            row = _parsed(line, where)
            if not isinstance(row, dict):
                _reject(where, f"a row is a JSON object; got {_shown(row)}")
            yield where, row


def _json(path: Path) -> Iterator[_Row]:
    rows = _parsed(_text(path), str(path))
    if not isinstance(rows, list):
        _reject(str(path), f"a .json dataset is a list of objects; got {_shown(rows)}")
    for number, row in enumerate(rows, 1):
        where = f"{path}, row {number}"
        if not isinstance(row, dict):
            _reject(where, f"a row is a JSON object; got {_shown(row)}")
        yield where, row


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{where}: this is not JSON: {error}.") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value; leave the field out")


def _csv(path: Path) -> Iterator[_Row]:
    lines = list(io.StringIO(_text(path), newline=""))  # a cell may hold U+2028 and its like
    reader = csv.reader(lines, delimiter=_delimiter(path, lines), strict=True)
    header: list[str] = []
    line = 1
    while (cells := _cells(reader, f"{path}, line {line}")) is not None:
        where = f"{path}, line {line}"
        line = reader.line_num + 1  # where the next row begins: a cell may have several lines
        if not any(cell.strip() for cell in cells):
            continue
        if not header:
            header = _header(cells, where)
        elif len(cells) != len(header):
            _reject(
                where,
                f"there are {len(cells)} cells, and {len(header)} columns ({', '.join(header)}). "
                'A cell with a comma or a line break stands in quotes: "like, this"',
            )
        else:
            row = zip(header, cells, strict=True)
            yield where, {name: _cell(name, cell) for name, cell in row if cell.strip()}


def _cells(reader: Iterator[list[str]], where: str) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error as error:
        raise DatasetError(f"{where}: this is not CSV: {error}.") from error


def _delimiter(path: Path, lines: Sequence[str]) -> str:
    first = next((line for line in lines if line.strip()), "")
    if path.suffix.lower() == ".tsv":
        return "\t"
    return ";" if ";" in first and "," not in first else ","


def _header(cells: Sequence[str], where: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    if not all(names):
        _reject(where, f"every column has a name; got {', '.join(map(repr, names))}")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        _reject(where, f"several columns are called {', '.join(twice)}")
    return names


def _cell(name: str, cell: str) -> Any:
    if name in _TEXTS or not cell.lstrip().startswith(("[", "{")):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell


def _beir(folder: Path) -> Iterator[_Row]:
    """The judged queries of a BEIR folder, each with the grades of its documents."""
    file = next(
        (path for path in (folder / "qrels.tsv", folder / "qrels" / "test.tsv") if path.is_file()),
        None,
    )
    if file is None:
        raise DatasetError(
            f"{folder} is no BEIR folder: it has no qrels.tsv and no qrels/test.tsv."
        )
    grades = _qrels(file)
    for where, row in _jsonl(folder / "queries.jsonl"):
        key, text = row.get("_id"), row.get("text")
        if not _is_name(key) or not isinstance(text, str):
            _reject(where, f"a query has `_id` and `text`; got {_shown(row)}")
        others = {name: value for name, value in row.items() if name not in ("_id", "text")}
        if judged := grades.pop(str(key), None):
            yield where, {**others, "id": key, "question": text, "documents": judged}
    if grades:
        raise DatasetError(
            f"{file} judges documents for queries that queries.jsonl lacks: {_shown(list(grades))}."
        )


def _qrels(file: Path) -> dict[str, dict[str, int]]:
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    for number, line in enumerate(_text(file).split("\n"), 1):
        where = f"{file}, line {number}"
        cells = line.split("\t")
        if not line.strip() or (number == 1 and cells[-1].strip() == "score"):
            continue
        try:
            query, document, grade = cells[0].strip(), cells[1].strip(), int(cells[2])
        except (IndexError, ValueError) as error:
            problem = "a judgement is query id, document id and grade, with tabs between"
            raise DatasetError(f"{where}: {problem}; got {line!r}.") from error
        if grades[query].setdefault(document, grade) != grade:
            _reject(where, f"document {document!r} of query {query!r} is graded twice, differently")
    return dict(grades)
