import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from agentkit.errors import ConfigurationError
from agentkit.retrieval.index import Index
from agentkit.retrieval.ingestion import IngestProgress, aingest, ingest
from agentkit.retrieval.reading import Heading, Part
from agentkit.retrieval.splitting import Splitter


class CountingEmbeddings(Embeddings):
    """Tells texts apart by their length, remembers what it embedded, and fails on demand."""

    identity = "counting"

    def __init__(self) -> None:
        self.embedded: list[str] = []
        self.fails = False

    def embed_query(self, text: str) -> list[float]:
        return [1.0, float(len(text)), 0.5]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if self.fails:
            raise ConnectionError("the embedding service is away")
        self.embedded.extend(texts)
        return [self.embed_query(text) for text in texts]


@pytest.fixture
def embeddings() -> CountingEmbeddings:
    return CountingEmbeddings()


@pytest.fixture
def index(tmp_path: Path, embeddings: CountingEmbeddings) -> Index:
    return Index.open(tmp_path / "index", embeddings=embeddings)


@pytest.fixture
def docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = Path("docs")
    folder.mkdir()
    return folder


def chunks(index: Index, **where: Any) -> list[Document]:
    found = index.get(list(index.metadata(where)))
    return sorted(found, key=lambda chunk: (chunk.metadata["source"], chunk.metadata["start"]))


def ingested(index: Index, path: Path, content: str | bytes, **options: Any) -> list[Document]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    report = ingest(path, index, **options)
    assert report.failed == {}
    return chunks(index, source=str(path))


# What a chunk is, by type of file


def test_markdown_is_split_at_its_headings(index: Index, docs: Path) -> None:
    text = (
        "Before any heading.\n\n# Guide\n\n## Install\n\nRun it.\n\n"
        "```\n# no heading, a comment\n```\n\nSetext\n------\n\nMore.\n\n# Other\n\nEnd.\n"
    )
    found = ingested(index, docs / "guide.md", text)
    assert [(c.page_content, c.metadata.get("headings")) for c in found] == [
        ("Before any heading.", None),
        (
            "# Guide\n\n## Install\n\nRun it.\n\n```\n# no heading, a comment\n```",
            "Guide > Install",
        ),
        ("Setext\n------\n\nMore.", "Guide > Setext"),
        ("# Other\n\nEnd.", "Other"),
    ]
    for chunk in found:
        values = chunk.metadata
        assert text[values["start"] : values["end"]] == chunk.page_content
        assert (values["source"], values["title"]) == ("docs/guide.md", "Guide")
        assert values["file_type"] == "markdown"


def test_front_matter_names_the_title_and_is_not_text(index: Index, docs: Path) -> None:
    (chunk,) = ingested(
        index, docs / "a.md", '---\ntitle: "Real title"\ntags: [x]\n---\n# H\n\nBody'
    )
    assert chunk.metadata["title"] == "Real title"
    assert chunk.page_content == "# H\n\nBody"


def test_html_keeps_headings_lists_and_tables_and_drops_the_rest(index: Index, docs: Path) -> None:
    html = """<!doctype html><html><head><title>The  page</title><style>p {}</style></head><body>
      <nav>Home | About</nav><script>alert(1)</script>
      <h1>Top</h1><p>First <b>bold</b>
      words.<br>Next.</p><!-- hidden -->
      <div><h2>Sub &amp; more</h2><ul><li>one</li><li>two</li></ul>
      <table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td>2</td></tr></table>
      <pre>x = 1
  y = 2</pre></div><footer>© nobody</footer></body></html>"""
    top, sub = ingested(index, docs / "page.html", html)
    assert top.page_content == "Top\n\nFirst bold words. Next."
    assert (top.metadata["title"], top.metadata["headings"]) == ("The page", "Top")
    assert sub.page_content == "Sub & more\n\n- one\n- two\nA | B\n1 | 2\n\nx = 1\n  y = 2"
    assert sub.metadata["headings"] == "Top > Sub & more"


def test_html_says_its_own_encoding(index: Index, docs: Path) -> None:
    html = '<meta charset="iso-8859-2"><p>Łódź</p>'.encode("iso-8859-2")
    (chunk,) = ingested(index, docs / "pl.htm", html)
    assert chunk.page_content == "Łódź"


def test_reading_a_pdf_leaves_the_programs_logging_alone(tmp_path: Path) -> None:
    # in a process of its own, as only the first import of LlamaIndex's readers sets logging up
    (tmp_path / "paper.pdf").write_bytes(pdf("The first page."))
    read = (
        "import logging; from pathlib import Path\n"
        "from agentkit.retrieval.reading import read_file\n"
        "file = Path('paper.pdf'); assert read_file(file, file.read_bytes()).parts\n"
        "root = logging.getLogger(); print(root.handlers, root.level == logging.WARNING)"
    )
    told = subprocess.run(
        [sys.executable, "-c", read], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert told.stdout == "[] True\n"


def test_what_is_no_index_is_refused_before_anything_is_read(docs: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"Index\.open.*got str"):
        ingest(docs, "index")  # type: ignore[arg-type]


def test_a_pdf_has_pages(index: Index, docs: Path) -> None:
    first, second = ingested(index, docs / "paper.pdf", pdf("The first page.", "And the second."))
    assert (first.page_content, first.metadata["page"]) == ("The first page.", 1)
    assert (second.page_content, second.metadata["page"]) == ("And the second.", 2)
    assert first.metadata["title"] == "paper"
    assert second.metadata["start"] > first.metadata["end"]


def test_docx_keeps_headings_lists_and_tables(index: Index, docs: Path) -> None:
    body = (
        paragraph("Handbuch", style="berschrift1") + paragraph("Intro text.")
        + paragraph("Teil", style="berschrift2") + paragraph("item", item=True)
        + f"<w:tbl><w:tr>{cell('a')}{cell('b')}</w:tr><w:tr>{cell('c')}{cell('d')}</w:tr></w:tbl>"
    )  # fmt: skip
    docx(docs / "h.docx", body, title="Das Handbuch")
    ingest(docs, index)
    intro, part = chunks(index)
    assert intro.page_content == "Handbuch\n\nIntro text."
    assert part.page_content == "Teil\n\n- item\na | b\nc | d"
    assert part.metadata["headings"] == "Handbuch > Teil"
    assert part.metadata["title"] == "Das Handbuch"


@pytest.mark.parametrize(("name", "mark"), [("a.csv", ","), ("b.csv", ";"), ("c.tsv", "\t")])
def test_a_table_is_a_chunk_a_row(index: Index, docs: Path, name: str, mark: str) -> None:
    rows = [
        ["name", "price", ""],
        ["Tea", "3", "x"],
        [],
        ["Pot, red", "", ""],
        ["A", "1", "", "more"],
    ]
    quoted = [[f'"{v}"' if "," in v else v for v in row] for row in rows]
    found = ingested(index, docs / name, "\n".join(mark.join(row) for row in quoted))
    assert [c.page_content for c in found] == [
        "name: Tea\nprice: 3\ncolumn 3: x",
        "name: Pot, red",
        "name: A\nprice: 1\ncolumn 4: more",
    ]
    assert [c.metadata["row"] for c in found] == [1, 2, 3]
    assert list(index.metadata({"record.price": "3"})) == [found[0].id]


def test_json_lines_are_a_chunk_an_object(index: Index, docs: Path) -> None:
    lines = [
        {"title": "T", "text": "Body.", "year": 2020, "deep": {"x": 1}},
        {"name": "Ada", "born": {"year": 1815}, "tags": ["a", "b"], "none": None},
        "a string",
    ]
    text = "\n\n".join(json.dumps(line) for line in lines)
    titled, flat, string = ingested(index, docs / "d.jsonl", text)
    assert titled.page_content == "T\n\nBody."
    assert titled.metadata["title"] == "T"
    assert list(index.metadata({"record.year": {"$gt": 2000}})) == [titled.id]
    assert flat.page_content == "name: Ada\nborn.year: 1815\ntags: a\ntags: b"
    assert (string.page_content, string.metadata["row"]) == ("a string", 5)


def test_a_json_array_is_a_chunk_an_item_and_an_object_is_one(index: Index, docs: Path) -> None:
    assert len(ingested(index, docs / "list.json", '[{"a": 1}, {"a": 2}, {}]')) == 2
    (chunk,) = ingested(index, docs / "object.json", '{"a": {"b": [1, true]}, "c": "d\\ud800"}')
    assert chunk.page_content == "a.b: 1\na.b: true\nc: d\ufffd"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"], ids=str)
def test_text_is_read_in_the_encoding_it_has(index: Index, docs: Path, encoding: str) -> None:
    (chunk,) = ingested(index, docs / "t.txt", "Größe:\r\n3 €\rEnd".encode(encoding))
    assert chunk.page_content == "Größe:\n3 €\nEnd"


# Splitting


@given(
    text=st.text(alphabet=st.sampled_from("aB .,!?。\n\t-é東🎉\u00a0"), max_size=600),
    overlap=st.integers(0, 8),
    cuts=st.lists(st.integers(0, 600), max_size=4),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_chunks_are_slices_that_cover_the_text(text: str, overlap: int, cuts: list[int]) -> None:
    headings = [Heading(at, 1, "h") for at in sorted(set(cuts)) if at <= len(text)]
    covered = set[int]()
    previous = -1
    for chunk in Splitter(16, overlap).split(Part(text, headings)):
        assert text[chunk.start : chunk.start + len(chunk.text)] == chunk.text
        assert chunk.text.strip() == chunk.text != ""
        assert chunk.start > previous
        previous = chunk.start
        covered.update(range(chunk.start, chunk.start + len(chunk.text)))
    assert all(at in covered or character.isspace() for at, character in enumerate(text))


def test_chunks_keep_to_the_token_budget_and_to_sentences(index: Index, docs: Path) -> None:
    sentences = [f"This is sentence number {n} of a longer text." for n in range(100)]
    found = ingested(index, docs / "a.txt", " ".join(sentences), chunk_tokens=50, overlap_tokens=15)
    assert len(found) > 20
    for chunk in found:
        assert chunk.page_content.startswith("This")
        assert chunk.page_content.endswith(".")
        assert len(chunk.page_content.split()) <= 50
    assert found[0].page_content[-20:] in found[1].page_content, "the last sentence is repeated"


@pytest.mark.parametrize("text", ["x" * 2_000_000, "word " * 300_000, "- a\n" * 100_000])
def test_large_monotonous_text_is_split_in_reasonable_time(text: str) -> None:
    found = list(Splitter(200, 0).split(Part(text)))
    assert sum(len(chunk.text.replace(" ", "")) for chunk in found) >= len("".join(text.split()))


@pytest.mark.parametrize(
    "options",
    [
        {"chunk_tokens": 0}, {"chunk_tokens": 15}, {"overlap_tokens": -1}, {"overlap_tokens": 101},
        {"include": "*.md"}, {"exclude": "*.md"},
    ],
    ids=str,
)  # fmt: skip
def test_options_out_of_range_are_a_clear_error(index: Index, docs: Path, options: Any) -> None:
    with pytest.raises(ConfigurationError):
        ingest(docs, index, **options)


@pytest.mark.parametrize("paths", [None, 3, [None], ["a.md", 3]], ids=str)
def test_what_is_no_path_is_told(index: Index, paths: Any) -> None:
    with pytest.raises(ConfigurationError, match="is a path of a file or folder, or several; got "):
        ingest(paths, index)


# Running again


def test_running_again_adds_only_what_changed_and_removes_what_is_gone(
    index: Index, docs: Path, embeddings: CountingEmbeddings
) -> None:
    (docs / "same.md").write_text("# Same\n\nStays.")
    (docs / "changed.md").write_text("# One\n\nFirst.\n\n# Two\n\nSecond.")
    (docs / "gone.md").write_text("# Gone\n\nGoes.")
    first = ingest(docs, index)
    assert sorted(first.added) == ["docs/changed.md", "docs/gone.md", "docs/same.md"]
    assert (first.chunks_added, first.chunks_removed) == (4, 0)
    version = index.version()
    again = ingest("./docs/", index)
    assert again.unchanged == sorted(first.added)
    assert index.version() == version, "an index that is up to date is not written to"

    embeddings.embedded.clear()
    before = {chunk.page_content: chunk.id for chunk in chunks(index)}
    (docs / "changed.md").write_text("# One\n\nFirst.\n\n# Two\n\nOther.")
    (docs / "gone.md").unlink()
    (docs / "new.md").write_text("# New\n\nIs new.")
    third = ingest(docs, index)
    assert third.added == ["docs/new.md"]
    assert third.updated == ["docs/changed.md"]
    assert third.unchanged == ["docs/same.md"]
    assert third.removed == ["docs/gone.md"]
    assert (third.chunks_added, third.chunks_removed) == (3, 3)
    assert sorted(embeddings.embedded) == ["# New\n\nIs new.", "# Two\n\nOther."]
    after = {chunk.page_content: chunk.id for chunk in chunks(index)}
    contents = ["# New\n\nIs new.", "# One\n\nFirst.", "# Same\n\nStays.", "# Two\n\nOther."]
    assert sorted(after) == contents
    assert after["# One\n\nFirst."] == before["# One\n\nFirst."], "ids are stable"


def test_other_chunk_sizes_split_again(index: Index, docs: Path) -> None:
    text = " ".join(f"Sentence number {n}." for n in range(60))
    assert len(ingested(index, docs / "a.txt", text)) == 2
    report = ingest(docs, index, chunk_tokens=20, overlap_tokens=0)
    assert report.updated == ["docs/a.txt"]
    assert len(chunks(index)) > 10


def test_chunks_with_the_same_content_are_kept_apart(index: Index, docs: Path) -> None:
    found = ingested(index, docs / "a.jsonl", '"same"\n"same"\n"same"')
    assert len({chunk.id for chunk in found}) == 3
    assert [chunk.metadata["row"] for chunk in found] == [1, 2, 3]


def test_what_was_not_ingested_from_files_is_left_alone(index: Index, docs: Path) -> None:
    index.add([Document(id="mine", page_content="by hand", metadata={"source": "docs/a.md"})])
    (docs / "a.md").write_text("From a file.")
    ingest(docs, index)
    (docs / "a.md").write_text("Changed.")
    ingest(docs, index)
    (docs / "a.md").unlink()
    report = ingest(docs, index)
    assert report.removed == ["docs/a.md"]
    assert list(index.metadata()) == ["mine"]


def test_only_what_is_under_the_given_paths_is_removed(index: Index, docs: Path) -> None:
    Path("docs2").mkdir()
    for name in ("docs/a.md", "docs2/b.md", "outside.md"):
        Path(name).write_text(f"Text of {name}.")
    ingest(["docs", "docs2", "outside.md"], index)
    for name in ("docs/a.md", "docs2/b.md", "outside.md"):
        Path(name).unlink()
    assert ingest("docs", index).removed == ["docs/a.md"]
    assert ingest("outside.md", index).removed == ["outside.md"]
    assert ingest(Path("docs2").absolute(), index).removed == []
    assert ingest(".", index).removed == ["docs2/b.md"]
    assert index.count() == 0


def test_a_folder_that_does_not_exist_removes_nothing(index: Index, docs: Path) -> None:
    (docs / "a.md").write_text("Text.")
    ingest(docs, index)
    docs.rename("elsewhere")
    report = ingest("docs", index)
    assert report.failed == {"docs": "it does not exist"}
    assert index.count() == 1


def test_failing_embeddings_keep_what_was_and_the_next_run_goes_on(
    index: Index, docs: Path, embeddings: CountingEmbeddings
) -> None:
    (docs / "a.md").write_text("Old.")
    ingest(docs, index)
    (docs / "a.md").write_text("New.")
    embeddings.fails = True
    with pytest.raises(ConnectionError):
        ingest(docs, index)
    assert [chunk.page_content for chunk in chunks(index)] == ["Old."]
    embeddings.fails = False
    assert ingest(docs, index).updated == ["docs/a.md"]
    assert [chunk.page_content for chunk in chunks(index)] == ["New."]


# Choosing files


def test_folders_are_filtered_by_type_pattern_and_leading_dot(index: Index, docs: Path) -> None:
    for name in ("a.md", "b.txt", "c.py", "drafts/d.md", "sub/e.md", ".git/f.md", ".g.md"):
        (docs / name).parent.mkdir(exist_ok=True)
        (docs / name).write_text(f"Text {name}")

    def sources(**options: Any) -> list[str]:
        report = ingest(docs, index, **options)
        return sorted([*report.added, *report.unchanged])

    assert sources() == ["docs/a.md", "docs/b.txt", "docs/drafts/d.md", "docs/sub/e.md"]
    assert sources(include=["*.md"], exclude=["drafts"]) == ["docs/a.md", "docs/sub/e.md"]
    assert sources(include=["sub/*", "*.py"]) == ["docs/c.py", "docs/sub/e.md"]
    assert sources(exclude=["*.md"]) == ["docs/b.txt"]
    assert ingest(docs / "c.py", index).added == ["docs/c.py"]


def test_links_to_folders_do_not_loop(index: Index, docs: Path) -> None:
    (docs / "a.md").write_text("Text.")
    (docs / "loop").symlink_to(docs.absolute())
    (docs / "x.md").symlink_to("y.md")
    (docs / "y.md").symlink_to("x.md")
    report = ingest(docs, index)
    assert report.added == ["docs/a.md"]
    assert sorted(report.failed) == ["docs/x.md", "docs/y.md"]
    assert "symbolic links" in report.failed["docs/x.md"]


# Bad files


def test_bad_files_are_reported_with_their_reason_and_skipped(index: Index, docs: Path) -> None:
    bad = {
        "empty.txt": (b"", "no text"),
        "blank.md": (b" \n\n ", "no text"),
        "junk.txt": (bytes(range(256)) * 10, "not text"),
        "control.txt": (b"\x01\x02\x03" * 50, "not text"),
        "utf16.txt": (b"\xff\xfea", "utf-16"),
        "corrupt.pdf": (b"%PDF-1.4 this is no pdf", "PDF"),
        "scan.pdf": (pdf(""), "no text"),
        "corrupt.docx": (b"PK no zip", "zip"),
        "binary.html": (b"<p>\0\1</p>", "NUL"),
        "broken.json": (b'{"a": ', "Expecting"),
        "nan.json": (b'{"a": NaN}', "NaN"),
        "deep.json": (b"[" * 100_000, "recursion"),
        "broken.jsonl": (b'{"text": "good"}\n{"text": ', "line 2"),
        "broken.csv": (b'a,b\n"x, y', "end of data"),
        "header.csv": (b"a,b\n", "no text"),
        "huge.txt": (b"x" * 3000, "3,000 bytes"),
    }
    for name, (content, _) in bad.items():
        (docs / name).write_bytes(content)
    with zipfile.ZipFile(docs / "other.docx", "w") as archive:
        archive.writestr("mimetype", "none of Word's")
    os.mkfifo(docs / "pipe.txt")
    (docs / "good.md").write_text("Good.")
    report = ingest(docs, index, max_bytes=2999)
    assert report.added == ["docs/good.md"]
    for name, (_, reason) in bad.items():
        if name != "deep.json":
            assert reason in report.failed[f"docs/{name}"], name
    assert "document.xml" in report.failed["docs/other.docx"]
    assert "regular file" in report.failed["docs/pipe.txt"]
    assert set(report.failed) == {f"docs/{n}" for n in [*bad, "other.docx", "pipe.txt"]}
    assert index.count() == 1


def test_deeply_nested_json_is_reported(index: Index, docs: Path) -> None:
    (docs / "deep.json").write_text("[" * 100_000)
    (docs / "nested.json").write_text('{"a":' * 200 + "1" + "}" * 200)
    report = ingest(docs, index)
    assert list(report.failed) == ["docs/deep.json"]
    assert report.added == ["docs/nested.json"]


def test_an_external_entity_in_docx_is_refused(index: Index, docs: Path) -> None:
    (docs / "secret").write_text("the secret")
    entity = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{(docs / "secret").absolute()}">]>'
    docx(docs / "x.docx", paragraph("&e;"), prolog=entity)
    report = ingest(docs, index)
    assert "Entit" in report.failed["docs/x.docx"]


def test_a_file_that_can_no_longer_be_read_keeps_its_chunks(index: Index, docs: Path) -> None:
    ingested(index, docs / "a.json", '{"text": "was good"}')
    (docs / "a.json").write_text("{")
    report = ingest(docs, index)
    assert list(report.failed) == ["docs/a.json"]
    assert report.removed == []
    assert [chunk.page_content for chunk in chunks(index)] == ["was good"]


def test_a_file_that_is_empty_now_loses_its_chunks(index: Index, docs: Path) -> None:
    ingested(index, docs / "a.md", "Text.")
    (docs / "a.md").write_text("")
    report = ingest(docs, index)
    assert report.failed == {"docs/a.md": "it holds no text"}
    assert report.chunks_removed == 1
    assert index.count() == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_reported_and_not_removed(index: Index, docs: Path) -> None:
    (docs / "closed").mkdir()
    (docs / "closed" / "a.md").write_text("Text.")
    (docs / "b.md").write_text("More.")
    ingest(docs, index)
    (docs / "closed").chmod(0)
    (docs / "b.md").chmod(0)
    try:
        report = ingest(docs, index)
    finally:
        (docs / "closed").chmod(0o700)
    assert report.failed == {"docs/closed": "Permission denied", "docs/b.md": "Permission denied"}
    assert report.removed == []
    assert index.count() == 2


# Progress, async


async def test_the_async_form_reports_progress(index: Index, docs: Path) -> None:
    for n in range(3):
        (docs / f"{n}.md").write_text(f"Text {n}.")
    seen: list[IngestProgress] = []
    report = await aingest(docs, index, progress=seen.append)
    assert len(report.added) == 3
    assert [(p.source, p.files_done, p.files) for p in seen[:3]] == [
        (f"docs/{n}.md", n + 1, 3) for n in range(3)
    ]
    assert seen[-1] == IngestProgress("docs/2.md", 3, 3, 3)


def test_many_files_are_committed_together(index: Index, docs: Path) -> None:
    for n in range(600):
        (docs / f"{n}.txt").write_text(f"Text {n}.")
    before = index.version()
    report = ingest(docs, index)
    assert len(report.added) == report.chunks_added == index.count() == 600
    assert index.version() - before < 12


# Small files of each format, made here


def pdf(*pages: str) -> bytes:
    """A PDF with one line of text a page."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for n, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET"
        objects += [
            f"<< /Type /Page /Parent 2 0 R /Contents {5 + 2 * n} 0 R /MediaBox [0 0 612 792] "
            "/Resources << /Font << /F1 3 0 R >> >> >>",
            f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        ]
    return b"".join(_pdf_bytes(objects))


def _pdf_bytes(objects: list[str]) -> Iterator[bytes]:
    written, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(written))
        written += f"{number} 0 obj\n{content}\nendobj\n".encode()
    yield written
    yield f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    yield "".join(f"{offset:010} 00000 n \n" for offset in offsets).encode()
    yield f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\n".encode()
    yield f"startxref\n{len(written)}\n%%EOF\n".encode()


WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
STYLES = f"""<w:styles xmlns:w="{WORD}">
<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
<w:style w:styleId="berschrift2"><w:name w:val="heading 2"/></w:style></w:styles>"""


def paragraph(text: str, *, style: str = "", item: bool = False) -> str:
    properties = (f'<w:pStyle w:val="{style}"/>' if style else "") + ("<w:numPr/>" if item else "")
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def cell(text: str) -> str:
    return f"<w:tc>{paragraph(text)}</w:tc>"


def docx(path: Path, body: str, *, title: str = "", prolog: str = "") -> None:
    """A Word file with German style ids, as Word in German writes them."""
    core = f'<c xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></c>'
    document = f'{prolog}<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", document)
        archive.writestr("word/styles.xml", STYLES)
        archive.writestr("docProps/core.xml", core)
