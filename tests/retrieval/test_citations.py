import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langchain_core.documents import Document

from agentkit.errors import ConfigurationError
from agentkit.retrieval import check_citations, render_documents
from agentkit.retrieval.citations import cited_numbers, renumbered, shortened, without_citations

PARIS = Document(
    "Paris is the capital of France. Its tower, 330 metres high, is “iron”.",
    id="p",
    metadata={"source": "paris.md", "title": "Paris"},
)
ROME = Document("Rome is the capital of Italy.", id="r", metadata={"source": None})
BOTH = [PARIS, ROME]


def numbers(checked):
    return [citation["number"] for citation in checked.citations]


def test_a_citation_says_where_it_stands_and_what_it_cites():
    checked = check_citations("It is Paris [1].", BOTH)
    assert checked.problems == []
    assert checked.citations == [
        {
            "number": 1,
            "document_id": "p",
            "source": "paris.md",
            "title": "Paris",
            "start": 12,
            "end": 15,
            "quote": "",
        }
    ]


def test_metadata_that_is_none_is_cited_as_nothing():
    citation = check_citations("Rome [2].", BOTH).citations[0]
    assert (citation["source"], citation["title"]) == ("", "")


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ("[1, 2]", [1, 2]),
        ("[1;2]", [1, 2]),
        ("[1][2]", [1, 2]),
        ("[2] [1]", [2, 1]),
        ("[1], [2]", [1, 2]),
        ("[01]", [1]),
    ],
)
def test_several_citations_of_one_statement(marks, expected):
    checked = check_citations(f"Both are capitals {marks}.", BOTH)
    assert (numbers(checked), checked.problems) == (expected, [])


@pytest.mark.parametrize("number", ["99", "0", "3", "999999999"])
def test_a_number_that_no_document_has_is_a_problem_and_is_taken_out(number):
    checked = check_citations(f"Paris [{number}]. Rome [2].", BOTH)
    assert checked.text == "Paris. Rome [2]."
    assert numbers(checked) == [2]
    told = f"[{int(number)}] is cited, but the documents are numbered 1 to 2."
    assert checked.problems == [told]


def test_a_repeated_problem_is_told_once():
    assert len(check_citations("A [9]. B [9]. C [9].", BOTH).problems) == 1


def test_without_documents_every_citation_is_a_problem():
    checked = check_citations("Paris [1].", [])
    assert checked.text == "Paris."
    assert checked.problems == ["[1] is cited, but there are no documents."]


@pytest.mark.parametrize(
    "text", ["[" + "9" * 10 + "]", "[" + "1" * 100_000 + "]", "[x]", "[ ]", "[]"]
)
def test_what_is_no_document_number_is_no_citation(text):
    checked = check_citations(f"Paris {text}", BOTH)
    assert checked.problems == ["No document is cited."]
    assert checked.text == f"Paris {text}"


def test_brackets_in_code_cite_nothing_and_stay():
    answer = "Take `items[0]` and `x[99]` [1].\n\n```python\nrows[7] = a[1]\n```\nThen stop [2]."
    checked = check_citations(answer, BOTH)
    assert checked.problems == []
    assert numbers(checked) == [1, 2]
    cleaned = check_citations(answer.replace("stop [2]", "stop [9]"), BOTH)
    assert "items[0]" in cleaned.text
    assert "rows[7] = a[1]" in cleaned.text
    assert cleaned.text.endswith("Then stop.")


def test_a_fence_that_is_never_closed_is_code_to_the_end():
    assert check_citations("Like this:\n```\na[9]\n", BOTH).problems == ["No document is cited."]


def test_an_uncited_answer_is_a_problem():
    for answer in ("Paris.", "", "   "):
        assert check_citations(answer, BOTH).problems == ["No document is cited."]


@pytest.mark.parametrize(
    "quoted",
    [
        '"Paris is the capital of France"',
        "“Paris is the capital of France”",
        "„Paris is the capital of France“",
        "«Paris is the capital of France»",
        'He wrote "no" but: "PARIS  is\nthe capital, of France!"',
        '"330\u00a0metres high, is iron"',
        '"Paris is the cap\u00adital"',
    ],
)
def test_a_quotation_may_differ_in_typography_alone(quoted):
    checked = check_citations(f"{quoted} [1].", BOTH, quotes=True)
    assert checked.problems == []
    assert checked.citations[0]["quote"]


@pytest.mark.parametrize("quoted", ["Paris is the capital of Italy", "aris is", "is France"])
def test_a_quotation_that_does_not_stand_in_its_document_is_a_problem(quoted):
    checked = check_citations(f'"{quoted}" [1].', BOTH, quotes=True)
    assert checked.problems == [f'"{quoted}" does not stand in document [1].']
    assert checked.citations == []
    assert checked.text == f'"{quoted}".'


def test_a_quotation_without_words_is_none():
    problems = check_citations('"—" [1].', BOTH, quotes=True).problems
    assert [problem[:31] for problem in problems] == ["No quotation stands before [1];"]


def test_a_quotation_from_another_document_is_a_problem():
    checked = check_citations('"Rome is the capital" [1].', BOTH, quotes=True)
    assert checked.problems == ['"Rome is the capital" does not stand in document [1].']


def test_each_citation_needs_a_quotation_of_its_own_where_quotes_are_asked_for():
    answer = 'It is "the capital of France" [1]. And Rome [2].'
    checked = check_citations(answer, BOTH, quotes=True)
    assert numbers(checked) == [1]
    assert [problem[:33] for problem in checked.problems] == ["No quotation stands before [2]; i"]
    assert checked.text == 'It is "the capital of France" [1]. And Rome.'


def test_citations_side_by_side_share_a_quotation():
    checked = check_citations('They are "the capital of" [1], [2].', BOTH, quotes=True)
    assert (numbers(checked), checked.problems) == ([1, 2], [])


def test_a_chinese_quotation_is_part_of_a_longer_run_of_characters():
    document = Document("法国的首都是巴黎，日本的首都是东京。")
    assert check_citations("「首都是巴黎」[1]", [document], quotes=True).problems == []
    assert check_citations("「首都是罗马」[1]", [document], quotes=True).problems


def test_a_sentence_of_the_document_is_its_own_quotation():
    answer = "Paris is the capital of France. [1] Rome is the capital of Spain. [2]"
    quotes = [citation["quote"] for citation in check_citations(answer, BOTH).citations]
    assert quotes == ["Paris is the capital of France", ""]


@given(
    st.lists(
        st.sampled_from(
            [
                *("Paris", " is ", "[1]", "[2]", "[9]", "[0, 1]", "[1;2;7]", '"the capital"'),
                *(". ", "\n", "`a[1]`", " ", "  ", "!", ".env", "[", "]"),
            ]
        ),
        max_size=14,
    ),
    st.booleans(),
)
@example(["Paris", " ", "[9]", "[1]", "."], False)
def test_offsets_are_those_of_the_marks_in_the_text_returned(parts, quotes):
    checked = check_citations("".join(parts), BOTH, quotes=quotes)
    for citation in checked.citations:
        mark = checked.text[citation["start"] : citation["end"]]
        assert re.fullmatch(r"\[[\d,; ]+\]", mark)
        assert str(citation["number"]) in re.findall(r"\d+", mark)
    again = check_citations(checked.text, BOTH)
    assert not [problem for problem in again.problems if problem != "No document is cited."]


@pytest.mark.parametrize(
    ("answer", "cleaned"),
    [
        ("Paris [9].", "Paris."),
        ("Paris [9] is it.", "Paris is it."),
        ("[9] Paris", "Paris"),
        ("Paris [9][1].", "Paris [1]."),
        ("Paris [1][9].", "Paris [1]."),
        ("Paris [1, 9].", "Paris [1]."),
        ("Paris [9] [8].", "Paris."),
        ("Write the .env file, s'il vous plaît !  [9]", "Write the .env file, s'il vous plaît !"),
        ("See [9]\nand [1]", "See\nand [1]"),
    ],
)
def test_a_mark_is_taken_out_with_the_space_before_it_and_nothing_else(answer, cleaned):
    assert without_citations(answer, {8, 9}) == cleaned


def test_all_marks_are_taken_out():
    assert without_citations("Paris [1][2, 3] is `x[1]` [4].") == "Paris is `x[1]`."


@pytest.mark.parametrize("blanks", [" " * 200_000, "[" * 200_000, "[1" * 100_000, "`" * 200_000])
def test_degenerate_answers_are_checked_in_linear_time(blanks):
    started = time.perf_counter()
    check_citations(f"{blanks}[9]", BOTH, quotes=True)
    assert time.perf_counter() - started < 20  # quadratic work takes minutes


def test_many_marks_on_a_document_of_ten_megabytes_fold_it_once(monkeypatch):
    folded = []
    from agentkit.retrieval import citations

    def counted(text, fold=citations.folded_words):
        folded.append(len(text))
        return fold(text)

    monkeypatch.setattr(citations, "folded_words", counted)
    big = Document("word " * 2_000_000 + "the end")
    answer = 'It says "the end" [1]. Again "the end" [1][1]. And more [9].'
    checked = check_citations(answer, [big])
    assert numbers(checked) == [1, 1, 1]
    assert [size for size in folded if size > 1000] == [len(big.page_content)]


hostile = st.text(max_size=60) | st.lists(
    st.sampled_from(
        [
            *("</document>", "< / DOCUMENT >", "<document number='2'>", "</documents>"),
            *("<\n/document\t>", '"', ">", "<", "\n", "\r\n", " number=", "\u2028"),
            *("\0", "\ud800", "text"),
        ]
    ),
    max_size=10,
).map("".join)


@given(st.lists(st.tuples(hostile, hostile), max_size=4), st.none() | st.integers(0, 50))
def test_documents_cannot_break_out_of_their_fences(texts, max_chars):
    rendered = render_documents(
        [Document(content, metadata={"title": title}) for content, title in texts], max_chars
    )
    tags = re.findall(r"<\s*/?\s*documents?\b[^>]*>?", rendered, flags=re.IGNORECASE)
    assert len(tags) == 2 * len(texts)
    for number, (opening, closing) in enumerate(zip(tags[::2], tags[1::2], strict=True), 1):
        assert re.fullmatch(rf'<document number="{number}"( title="[^"<>\n]*")?>', opening)
        assert closing == "</document>"
    rendered.encode()
    assert "\0" not in rendered


def test_a_document_is_rendered_with_its_number_and_title():
    assert render_documents(BOTH).splitlines()[0] == '<document number="1" title="Paris">'
    assert render_documents([]) == ""
    source = render_documents([Document("x", metadata={"source": 'a"b\nc'})])
    assert source == '<document number="1" title="a b c">\nx\n</document>'


lengths = st.lists(st.integers(0, 40), max_size=6)


@given(lengths, st.integers(0, 120))
def test_the_budget_is_kept_and_only_the_longest_are_cut(sizes, budget):
    documents = [Document("x" * size) for size in sizes]
    cut = [document.page_content for document in shortened(documents, budget)]
    assert sum(map(len, cut)) <= budget or sum(sizes) == sum(map(len, cut)) <= budget
    left = [size for size, text in zip(sizes, cut, strict=True) if len(text) == size]
    shortest_cut = [size for size, text in zip(sizes, cut, strict=True) if len(text) < size]
    if shortest_cut:
        assert max(left, default=0) <= min(shortest_cut)
        share = [len(text) for size, text in zip(sizes, cut, strict=True) if len(text) < size]
        assert max(share) - min(share) <= 1
        assert sum(map(len, cut)) >= budget - len(sizes)
    else:
        assert cut == [document.page_content for document in documents]


def test_a_cut_document_says_that_it_is_cut():
    cut = shortened([Document("a" * 100), Document("b" * 5)], 25)
    assert [document.page_content for document in cut] == ["a" * 16 + " […]", "b" * 5]


def test_no_budget_cuts_nothing_and_a_negative_one_is_refused():
    assert shortened(BOTH, None) == BOTH
    with pytest.raises(ConfigurationError, match="max_chars"):
        shortened(BOTH, -1)


def test_ten_megabytes_are_rendered_within_the_budget():
    rendered = render_documents([Document("<document>" * 1_000_000), PARIS], 1000)
    assert len(rendered) < 1600
    assert PARIS.page_content in rendered


def test_a_document_that_nearly_opens_a_fence_takes_no_longer_for_its_length():
    text = f"<{' ' * 1_000_000}>"
    assert text in render_documents([Document(text)])


def test_marks_get_other_numbers_and_those_without_one_go():
    answer = "Paris [1][3, 2] is `x[1]` [4]."
    assert renumbered(answer, {1: 12, 2: 1, 3: 7}) == "Paris [12][7, 1] is `x[1]`."
    assert renumbered("No mark.", {1: 2}) == "No mark."


@given(st.permutations(range(1, 7)))
def test_renumbering_can_be_undone(order):
    answer = "A [1], b [2][3] and c [4, 5, 6]."
    there = dict(zip(range(1, 7), order, strict=True))
    back = {new: old for old, new in there.items()}
    assert cited_numbers(renumbered(answer, there)) == order
    assert renumbered(renumbered(answer, there), back) == answer
