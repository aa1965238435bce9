"""What a dataset may be written as, what is refused with its place, and how it is divided."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.errors import ConfigurationError, DatasetError
from agentkit.evaluation.datasets import duplicates, leaks, load_corpus, load_dataset, split
from agentkit.evaluation.examples import Example

LOAN = {"question": "How long may I keep a book?", "answer": "Three weeks", "documents": ["loans"]}


def ask(question, key="1", **expected):
    return Example(key, {"question": question}, expected)


@pytest.fixture
def file(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


# --- what is read


def test_the_question_is_given_to_the_graph_and_all_else_is_expected_of_it():
    (example,) = load_dataset([LOAN])
    assert example.inputs == {"question": "How long may I keep a book?"}
    assert example.expected == {"answer": "Three weeks", "documents": ["loans"]}
    assert example.id == "1"


def test_inputs_and_expected_can_be_given_apart():
    row = {
        "id": 7,
        "inputs": {"question": "How long?", "user": "Ada"},
        "expected": {"answer": "Three weeks"},
        "topic": "loans",
    }
    expected = {"topic": "loans", "answer": "Three weeks"}
    assert load_dataset([row]) == [Example("7", row["inputs"], expected)]


def test_messages_are_an_input():
    messages = [{"role": "user", "content": "How long?"}]
    assert load_dataset([{"messages": messages}]) == [Example("1", {"messages": messages})]


def test_a_row_without_an_id_takes_its_number_and_never_that_of_another():
    rows = [{"id": 2, "question": "a"}, {"question": "b"}, {"question": "c"}]
    assert [example.id for example in load_dataset(rows)] == ["2", "row 2", "3"]


def test_what_is_none_is_not_there():
    assert load_dataset([{"question": "a", "answer": None, "id": None}]) == [ask("a")]


def test_fields_can_be_called_otherwise():
    row = {"query": "How long?", "gold_sql": "SELECT 1"}
    fields = {"question": "query", "query": "gold_sql"}
    assert load_dataset([row], fields=fields) == [ask("How long?", query="SELECT 1")]
    with pytest.raises(DatasetError, match="Row 1: there is no field sql; it has query, gold_sql"):
        load_dataset([row], fields={"query": "sql"})


def test_examples_are_taken_as_they_are():
    examples = [ask("a", "x"), ask("b", "y")]
    assert load_dataset(iter(examples)) == examples


@pytest.mark.parametrize(
    ("documents", "read"),
    [
        ("loans", ["loans"]),
        ([12, "loans"], ["12", "loans"]),
        (("loans",), ["loans"]),
        ({12: 2, "loans": 0.5}, {"12": 2, "loans": 0.5}),
        ([], []),
        ([{"text": "…"}], [{"text": "…"}]),
    ],
)
def test_documents_are_ids_or_grades_by_id(documents, read):
    (example,) = load_dataset([{"question": "a", "documents": documents}])
    assert example.expected["documents"] == read


def test_json_lines_are_read_with_a_byte_order_mark_and_blank_lines(file):
    line = json.dumps({"question": "Wie\u2028lange?"}, ensure_ascii=False)
    path = file("q.jsonl", f"\ufeff{line}\r\n\n{json.dumps(LOAN)}\n")
    assert [e.question for e in load_dataset(path)] == ["Wie\u2028lange?", LOAN["question"]]
    assert load_dataset(str(path)) == load_dataset(path)


def test_a_json_list_is_read(file):
    assert load_dataset(file("q.json", json.dumps([LOAN]))) == load_dataset([LOAN])


def test_csv_cells_hold_text_and_lists_as_json(file):
    path = file(
        "q.csv",
        "id,question,answer,documents,tools\n"
        'a,"How long, at most?","Three\nweeks","[""loans"", 3]",\n'
        "b,How much?,[sic],loans,{broken\n",
    )
    assert load_dataset(path) == [
        ask("How long, at most?", "a", answer="Three\nweeks", documents=["loans", "3"]),
        ask("How much?", "b", answer="[sic]", documents=["loans"], tools="{broken"),
    ]


@pytest.mark.parametrize("odd", "\u2028\u2029\x85\x0b\x0c\x1c")
def test_a_csv_cell_ends_at_no_other_line_break_than_csvs_own(file, odd):
    path = file("q.csv", f"question,answer\r\nHow{odd}long?,Three weeks\r\nHow much?,Nothing\r\n")
    assert load_dataset(path) == [
        ask(f"How{odd}long?", "1", answer="Three weeks"),
        ask("How much?", "2", answer="Nothing"),
    ]


@pytest.mark.parametrize(("name", "between"), [("q.tsv", "\t"), ("q.csv", ";")])
def test_other_separators_are_read(file, name, between):
    path = file(name, f"question{between}answer\n\nHow long?{between}Three weeks\n")
    assert load_dataset(path) == [ask("How long?", answer="Three weeks")]


def test_a_data_frame_is_read_without_its_missing_cells():
    frame = pd.DataFrame(
        {
            "question": ["a", "b"],
            "answer": ["x", None],
            "grade": [1.0, math.nan],
            "count": [np.int64(3), np.int64(4)],
            "documents": [["d1", "d2"], np.array(["d3"])],
        }
    )
    assert load_dataset(frame) == [
        ask("a", "1", answer="x", grade=1.0, count=3, documents=["d1", "d2"]),
        ask("b", "2", count=4, documents=["d3"]),
    ]
    assert type(load_dataset(frame)[0].expected["count"]) is int


def test_a_frame_of_polars_is_read_by_its_rows():
    class Frame:
        def to_dicts(self):
            return [LOAN]

    assert load_dataset(Frame()) == load_dataset([LOAN])


def test_a_retrieval_dataset_in_the_layout_of_beir_is_read(file, tmp_path):
    file("corpus.jsonl", '{"_id": "d1", "title": "Loans", "text": "Three weeks."}\n')
    file(
        "queries.jsonl",
        '{"_id": "q1", "text": "How long?", "answer": "Three weeks", "metadata": null}\n'
        '{"_id": "q2", "text": "Judged by nobody"}\n',
    )
    file("qrels.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n")
    expected = {"answer": "Three weeks", "documents": {"d1": 2, "d2": 0}}
    assert load_dataset(tmp_path) == [Example("q1", {"question": "How long?"}, expected)]
    (document,) = load_corpus(tmp_path)
    assert (document.id, document.page_content) == ("d1", "Loans\nThree weeks.")
    assert document.metadata == {"title": "Loans"}


def test_the_test_split_of_beir_is_the_one_that_is_read(file, tmp_path):
    file("queries.jsonl", '{"_id": 1, "text": "How long?"}\n')
    file("qrels/test.tsv", "1\td1\t1\n")
    assert load_dataset(tmp_path) == [ask("How long?", documents={"d1": 1})]


# --- what is refused, with its place


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("q.jsonl", '{"question": "a"}\n\n{"question": \n', "line 3: this is not JSON"),
        ("q.jsonl", '{"question": "a", "score": NaN}', "line 1: this is not JSON: NaN is no JSON"),
        ("q.jsonl", '{"question": "a"}\n["b"]\n', r"line 2: a row is a JSON object; got \['b'\]"),
        ("q.jsonl", "[" * 100_000, "line 1: this is not JSON"),
        ("q.jsonl", b'{"question": "a"}\n{"question": "caf\xe9"}\n', "line 2: this is not UTF-8"),
        ("q.jsonl", '{"question": "a"}'.encode("utf-16"), "line 1: this is not UTF-8. Save it as"),
        ("q.jsonl", "", "q.jsonl holds no example"),
        ("q.jsonl", " \n", "q.jsonl holds no example"),
        ("q.json", '{"question": "a"}', "a .json dataset is a list of objects"),
        ("q.json", '[{"question": "a"}, 2]', "row 2: a row is a JSON object; got 2"),
        ("q.csv", "", "q.csv holds no example"),
        ("q.csv", "question,answer\n", "q.csv holds no example"),
        ("q.csv", 'question,answer\na,"x\ny"\nb\n', "line 4: there are 1 cells, and 2 columns"),
        ("q.csv", "question,answer\na,b,c\n", r"there are 3 cells, and 2 columns \(question, ans"),
        ("q.csv", "question,,answer\n", "line 1: every column has a name; got 'question', '', "),
        ("q.csv", "question,question\n", "line 1: several columns are called question"),
        ("q.csv", 'question\na\n"b', "line 3: this is not CSV"),
        ("q.csv", "answer\nx\n", "line 2: there is no question"),
        ("q.txt", "a", "q.txt is no dataset: it should be a .jsonl, .json, .csv or .tsv file"),
    ],
)
def test_a_malformed_file_is_refused_with_the_line(file, name, content, told):
    with pytest.raises(DatasetError, match=told):
        load_dataset(file(name, content))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], "The dataset holds no example"),
        ([{"question": "a"}, {"answer": "b"}], "Row 2: there is no question: a row needs"),
        ([{}], "it has nothing"),
        ([{"Question": "a"}], r"Is 'Question' meant\? Then give fields="),
        ([{"question": None, "answer": "b"}], "there is no question: its `question` is empty"),
        ([{"question": "  "}], "`question` is a text that is not empty; got '  '"),
        ([{"question": 42}], "`question` is a text that is not empty; got 42"),
        ([{"messages": []}], "`messages` is a list that is not empty"),
        ([{"messages": "hello"}], "`messages` is a list that is not empty; got 'hello'"),
        ([{"inputs": "hello"}], "`inputs` is a mapping; got 'hello'"),
        ([{"inputs": {}}], "there is no question"),
        ([{"question": "a", "expected": "b"}], "`expected` is a mapping; got 'b'"),
        ([{"question": "a", "documents": 1.5}], "`documents` is a list of ids, or grades by id"),
        ([{"question": "a", "documents": {"d": "x"}}], "the grades of `documents` are numbers"),
        ([{"question": "a", "id": ["x"]}], r"`id` is a text or a number; got \['x'\]"),
        ([{"question": "a", "id": 1}, {"question": "b", "id": "1"}], "Row 2: the id '1' is alre"),
        ([ask("a"), ask("b")], "Row 2: the id '1' is already that of Row 1"),
        ([Example("1", {})], "the inputs are a mapping that is not empty"),
        (["How long?"], "Row 1: a row is a mapping or an Example; got 'How long"),
        (LOAN, "A dataset is a file, a BEIR folder, a list of mappings or a DataFrame; got dict"),
        (None, "got NoneType"),
        (b"a", "got bytes"),
        (pd.DataFrame([["a", "b"]], columns=["question", "question"]), "several columns called"),
        (pd.DataFrame({"question": []}), "holds no example"),
    ],
)
def test_a_malformed_row_is_refused_with_its_number(rows, told):
    with pytest.raises(DatasetError, match=told):
        load_dataset(rows)


def test_a_file_that_is_not_there_or_is_a_plain_folder_is_told(tmp_path):
    with pytest.raises(DatasetError, match=r"gone.jsonl cannot be read: No such file"):
        load_dataset(tmp_path / "gone.jsonl")
    with pytest.raises(DatasetError, match=r"is no BEIR folder: it has no qrels.tsv"):
        load_dataset(tmp_path)


@pytest.mark.parametrize(
    ("queries", "qrels", "told"),
    [
        ('{"_id": "q1"}', "q1\td1\t1", r"queries.jsonl, line 1: a query has `_id` and `text`"),
        ('{"_id": "q1", "text": "a"}', "q1\td1", r"qrels.tsv, line 1: a judgement is query id"),
        ('{"_id": "q1", "text": "a"}', "q1\td1\tgood", "a judgement is query id, document id"),
        ('{"_id": "q1", "text": "a"}', "q1\td1\t1\nq2\td1\t1", r"queries.jsonl lacks: \['q2'\]"),
        ('{"_id": "q1", "text": "a"}', "q1\td1\t1\nq1\td1\t0", "line 2: .*graded twice, diff"),
        ('{"_id": "q1", "text": "a"}', "", "holds no example"),
    ],
)
def test_a_malformed_retrieval_dataset_is_refused_with_the_line(
    file, tmp_path, queries, qrels, told
):
    file("queries.jsonl", queries)
    file("qrels.tsv", qrels)
    with pytest.raises(DatasetError, match=told):
        load_dataset(tmp_path)


def test_a_malformed_corpus_is_refused_with_the_line(file, tmp_path):
    file("corpus.jsonl", '{"_id": "d1", "title": "Loans"}')
    with pytest.raises(DatasetError, match="line 1: a document has `_id`, `text`"):
        load_corpus(tmp_path)


# --- dividing, leaks and duplicates


questions = st.lists(st.sampled_from([f"question {n}" for n in range(12)]), max_size=40)


@given(questions, st.lists(st.integers(0, 5), min_size=1, max_size=4).filter(any), st.integers())
def test_a_split_is_a_partition_without_leaks_that_a_seed_determines(asked, weights, seed):
    examples = [ask(question, str(place)) for place, question in enumerate(asked)]
    shares = [weight / sum(weights) for weight in weights]
    lists = split(examples, shares, seed=seed)
    assert sorted((e.id for part in lists for e in part), key=int) == [e.id for e in examples]
    assert lists == split(examples, shares, seed=seed)
    assert not any(leaks(a, b) for a in lists for b in lists if a is not b)


@pytest.mark.parametrize(
    ("count", "shares", "sizes"),
    [
        (10, (0.5, 0.5), [5, 5]),
        (10, (0.8, 0.2), [8, 2]),
        (10, (0.7, 0.2, 0.1), [7, 2, 1]),
        (3, (0.5, 0.5), [2, 1]),
        (10, (1, 0), [10, 0]),
        (1, (0.5, 0.5), [1, 0]),
        (0, (0.5, 0.5), [0, 0]),
        (137, (1 / 3, 1 / 3, 1 / 3), [46, 46, 45]),
    ],
)
def test_a_split_has_the_sizes_of_the_shares(count, shares, sizes):
    examples = [ask(f"question {n}", str(n)) for n in range(count)]
    assert [len(part) for part in split(examples, shares)] == sizes


def test_another_seed_divides_otherwise_and_the_order_is_kept():
    examples = [ask(f"question {n}", str(n)) for n in range(30)]
    first, _ = split(examples, (0.5, 0.5), seed=1)
    other, _ = split(examples, (0.5, 0.5), seed=2)
    assert first != other
    assert [int(e.id) for e in first] == sorted(int(e.id) for e in first)


@pytest.mark.parametrize("shares", [(), (0.5,), (0.5, 0.6), (-0.5, 1.5), (math.nan, 1)])
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(ConfigurationError, match="numbers from 0 to 1 with the sum 1"):
        split([ask("a")], shares)


def test_a_leak_is_the_same_question_apart_from_case_space_and_punctuation():
    train = [ask("How long may I keep a book?", "t1"), ask("How much?", "t2")]
    message = Example("e2", {"messages": [{"role": "user", "content": "How much"}]})
    test = [ask("how  long may I keep a BOOK", "e1"), message, ask("Who?", "e3")]
    found = [(x.id, y.id) for x, y in leaks(train, test)]
    assert found == [("t1", "e1"), ("t2", "e2")]


def test_other_inputs_and_mere_punctuation_are_told_apart():
    a = [Example("1", {"question": "How much?", "user": "Ada"}), ask("?", "2")]
    b = [Example("3", {"question": "How much?", "user": "Bob"}), ask("!", "4"), ask("?", "5")]
    assert [(x.id, y.id) for x, y in leaks(a, b)] == [("2", "5")]


def test_duplicate_questions_are_found():
    examples = [ask("How much?", "1"), ask("Who?", "2"), ask("how much", "3")]
    assert [[e.id for e in group] for group in duplicates(examples)] == [["1", "3"]]
    assert duplicates(examples[:2]) == []
