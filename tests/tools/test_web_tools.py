"""Searching the web and reading its pages."""

import asyncio
import codecs
import gzip
from contextlib import suppress

import pytest
from ddgs.engines import ENGINES
from ddgs.exceptions import DDGSException, RatelimitException, TimeoutException
from hypothesis import given
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.tools import ToolException

from agentkit.errors import ConfigurationError
from agentkit.testing import Reply, Script, ScriptedChatModel
from agentkit.tools import _making
from agentkit.tools._aged import AgedCache
from agentkit.tools._decoding import decoded
from agentkit.tools._fetching import Fetched
from agentkit.tools._pages import page_of
from agentkit.tools.web import read_page, web_search
from tests.support.web import WebServer, closed_port

GUIDE = """<!doctype html><html lang="en"><head><title>A guide &amp; more</title>
<script>var secret = 1</script></head><body>
<nav><a href="/">Home</a> <a href="/about">About</a></nav>
<main><article><h1>Guide</h1>
<p>The <b>first</b> paragraph has a <a href="/next?x=1">link</a>, and words enough to be read.</p>
<ul><li>one</li><li>two <code>x = 1</code></li></ul>
<pre><code>def f():
    return 1
</code></pre>
<table><tr><th>City</th><th>People</th></tr><tr><td>Bern</td><td>134</td></tr></table>
</article></main><footer>Cookie settings</footer></body></html>"""


@pytest.fixture
def server():
    server = WebServer()
    yield server
    server.close()


def call(tool, **arguments):
    return tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})


def reader(**options):
    return read_page(allow_private=["127.0.0.1/32"], **options)


# --- searching


def result(number):
    return {
        "title": f"Title {number}",
        "href": f"https://{number}.example/",
        "body": f"Snippet\n{number}",
    }


class Engine:
    """A search engine that gives each of its answers in turn, and its last one for ever."""

    def __init__(self, *answers):
        self.asked = []
        self._answers = answers

    async def __call__(self, query, max_results):
        self.asked.append((query, max_results))
        answer = self._answers[min(len(self.asked), len(self._answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


def searcher(engine, **options):
    return web_search(search=engine, **{"backoff": 0, **options})


def test_results_are_numbered_with_their_addresses_and_snippets():
    message = call(searcher(Engine([result(1), result(2)])), query="  two   things ")
    assert message.content == (
        "1. Title 1\n   https://1.example/\n   Snippet 1\n\n"
        "2. Title 2\n   https://2.example/\n   Snippet 2"
    )
    assert message.artifact == {
        "query": "two things",
        "results": [
            {"title": f"Title {n}", "url": f"https://{n}.example/", "snippet": f"Snippet {n}"}
            for n in (1, 2)
        ],
        "sources": [{"title": f"Title {n}", "url": f"https://{n}.example/"} for n in (1, 2)],
    }


async def test_searching_is_async_too():
    told = await searcher(Engine([result(1)])).ainvoke({"query": "one"})
    assert told.startswith("1. Title 1")


def test_there_are_no_more_results_than_were_asked_for():
    engine = Engine([result(n) for n in range(9)])
    assert len(call(searcher(engine, max_results=3), query="q").artifact["results"]) == 3
    assert engine.asked == [("q", 3)]


def test_a_result_that_is_no_web_page_is_left_out():
    found = [{"title": "t", "href": href, "body": ""} for href in ("javascript:1", "", "data:,")]
    message = call(
        searcher(Engine([*found, {"href": "https://a.example", "title": None}])), query="q"
    )
    assert message.artifact["sources"] == [
        {"title": "https://a.example", "url": "https://a.example"}
    ]


def test_a_long_snippet_is_cut():
    long = {"title": "t" * 1_000, "href": "https://a.example", "body": "b " * 5_000}
    assert len(call(searcher(Engine([long])), query="q").content) < 800


def test_nothing_found_is_said_without_an_error():
    message = call(searcher(Engine([])), query="q")
    assert (message.status, message.artifact["sources"]) == ("success", [])
    assert message.content == "No page was found for 'q'. Try other words."


@pytest.mark.parametrize(
    "failure", [RatelimitException("202"), TimeoutException("timed out"), OSError("reset")]
)
def test_a_search_that_fails_is_tried_again(failure):
    engine = Engine(failure, failure, [result(1)])
    assert call(searcher(engine, retries=2), query="q").content.startswith("1. Title 1")
    assert len(engine.asked) == 3


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (RatelimitException("202"), "refuse to answer for now"),
        (DDGSException("No results found."), "no page fits, or the search engines refuse"),
        (TimeoutException("timed out"), "did not answer in time. Go on without the web"),
        (ConnectionError("no route"), "cannot be reached from here. Go on without the web"),
    ],
)
def test_a_search_that_goes_on_failing_is_an_error_the_model_can_act_on(failure, told):
    engine = Engine(failure)
    message = call(searcher(engine, retries=1), query="q")
    assert message.status == "error"
    assert told in message.content
    assert len(engine.asked) == 2


async def test_a_search_that_takes_too_long_is_left():
    async def never(query, max_results):
        await asyncio.Event().wait()

    message = await searcher(never, timeout=0.1).ainvoke(
        {"type": "tool_call", "id": "1", "name": "web_search", "args": {"query": "q"}}
    )
    assert message.content.startswith("The search engines did not answer within 0.1 seconds.")


def test_the_same_search_is_asked_once():
    engine = Engine([result(1)], [result(2)])
    tool = searcher(engine)
    first = call(tool, query="q")
    assert call(tool, query=" q ").artifact == first.artifact
    assert len(engine.asked) == 1
    assert call(tool, query="other").content.startswith("1. Title 2")


def test_a_search_that_failed_is_asked_again():
    engine = Engine(RatelimitException("202"), [result(1)])
    tool = searcher(engine, retries=0)
    assert call(tool, query="q").status == "error"
    assert call(tool, query="q").status == "success"


def test_a_search_that_found_nothing_is_asked_again():
    engine = Engine([], [result(1)])
    tool = searcher(engine)
    assert call(tool, query="q").artifact["sources"] == []
    assert call(tool, query="q").content.startswith("1. Title 1")


def test_two_tools_share_no_results():
    engine = Engine([result(1)])
    for tool in (searcher(engine), searcher(engine), searcher(engine, cache_seconds=0)):
        call(tool, query="q")
    assert len(engine.asked) == 3


def test_no_words_are_told():
    engine = Engine([result(1)])
    assert "give some words" in call(searcher(engine), query=" \n").content
    assert engine.asked == []


@pytest.mark.parametrize(
    "options",
    [
        {"max_results": 0},
        {"retries": -1},
        {"timeout": 0},
        {"backends": ["gogle"]},
        {"backends": "brave"},
        {"backends": []},
    ],
)
def test_options_that_cannot_work_are_refused(options):
    with pytest.raises(ConfigurationError, match="got"):
        web_search(**options)


# --- searching with ddgs itself, its engines answered by a server of this test


DUCKDUCKGO = """<html><body>
<div class="result__body"><h2>Bern</h2><a href="https://bern.example/">The city of Bern</a></div>
<div class="result__body"><h2>Ad</h2><a href="https://duckduckgo.com/y.js?ad">An ad</a></div>
</body></html>"""
MOJEEK = """<html><body><ul class="results"><li><h2><a href="https://mojeek.example/">Bern</a></h2>
<p class="s">Another city of Bern</p></li></ul></body></html>"""


@pytest.fixture
def engines(server, monkeypatch):
    for name in ("duckduckgo", "mojeek"):
        monkeypatch.setattr(ENGINES["text"][name], "search_url", f"{server.url}/{name}")
    return server


def ddgs_searcher(**options):
    return web_search(**{"backends": ["duckduckgo"], "backoff": 0, "retries": 0, **options})


def test_ddgs_is_asked_for_the_region_and_its_results_are_told(engines):
    engines.answers("/duckduckgo", DUCKDUCKGO)
    message = call(ddgs_searcher(region="ch-de"), query="Bern")
    assert message.artifact["results"] == [
        {"title": "Bern", "url": "https://bern.example/", "snippet": "The city of Bern"}
    ]
    assert b"q=Bern" in engines.asked[0].body
    assert b"l=ch-de" in engines.asked[0].body


@pytest.mark.parametrize("status", [202, 403, 429, 500])
def test_an_engine_that_refuses_is_gone_on_without(engines, status):
    engines.answers("/duckduckgo", "no", status=status)
    engines.answers("/mojeek", MOJEEK)
    message = call(ddgs_searcher(backends=["duckduckgo", "mojeek"]), query="Bern")
    assert [source["url"] for source in message.artifact["sources"]] == ["https://mojeek.example/"]


def test_engines_that_all_refuse_are_asked_again_and_told(engines):
    engines.answers("/duckduckgo", "no", status=429)
    message = call(ddgs_searcher(retries=1), query="Bern")
    assert "refuse to answer for now" in message.content
    assert len(engines.asked) == 2


def test_no_network_is_told(monkeypatch):
    url = f"http://127.0.0.1:{closed_port()}/"
    monkeypatch.setattr(ENGINES["text"]["duckduckgo"], "search_url", url)
    message = call(ddgs_searcher(), query="Bern")
    assert message.status == "error"
    assert message.content == (
        "The web cannot be reached from here. Go on without the web, and say in the answer that "
        "it could not be searched."
    )


def test_all_engines_that_search_the_whole_web_are_used_by_default(engines, monkeypatch):
    for engine in ENGINES["text"].values():
        monkeypatch.setattr(engine, "search_url", f"{engines.url}/{engine.name}")
        monkeypatch.setattr(engine, "search_method", "GET")
    call(web_search(backoff=0, retries=0), query="Bern")
    asked = {request.path.strip("/").partition("?")[0] for request in engines.asked}
    assert {"brave", "duckduckgo", "mojeek"} <= asked
    assert not asked & {"wikipedia", "grokipedia"}


# --- reading


def test_a_page_is_read_as_markdown(server):
    server.answers("/guide", GUIDE)
    message = call(reader(), url=f"{server.url}/guide")
    assert message.content == (
        f"A guide & more\n{server.url}/guide\n\n"
        "# Guide\n\n"
        f"The **first** paragraph has a [link]({server.url}/next?x=1), and words enough to be "
        "read.\n\n"
        "- one\n- two `x = 1`\n\n"
        "```\ndef f():\n    return 1\n```\n"
        "| City | People | \n|---|---|\n| Bern | 134 |"
    )
    assert message.artifact["sources"] == [
        {"title": "A guide & more", "url": f"{server.url}/guide"}
    ]
    assert message.artifact["chars"] == len(message.artifact["text"])


async def test_reading_is_async_too(server):
    server.answers("/guide", GUIDE)
    assert "# Guide" in await reader().ainvoke({"url": f"{server.url}/guide"})


def test_where_a_redirect_led_is_the_source(server):
    server.redirects("/old", "/guide")
    server.answers("/guide", GUIDE)
    message = call(reader(), url=f"{server.url}/old")
    assert message.artifact["sources"][0]["url"] == f"{server.url}/guide"


def test_a_page_of_links_alone_is_read_whole(server):
    links = "".join(f'<li><a href="/{n}">Item {n}</a></li>' for n in range(3))
    server.answers("/", f"<html><body><h2>Index</h2><ul>{links}</ul></body></html>")
    text = call(reader(), url=server.url).artifact["text"]
    assert text.split("\n\n") == [
        "## Index",
        *(f"- [Item {n}]({server.url}/{n})" for n in range(3)),
    ]


def test_a_very_large_page_is_read_whole(server):
    rows = "".join(f"<p>Row {n} <script>x</script></p>" for n in range(25_000))
    server.answers("/", f"<html><body>{rows}</body></html>")
    message = call(reader(max_chars=100), url=server.url)
    assert message.artifact["text"].startswith("Row 0\n\nRow 1\n\n")
    assert message.artifact["chars"] > 200_000


def test_a_long_page_is_read_on_from_an_offset_and_asked_for_once(server):
    paragraphs = "".join(f"<p>Paragraph {n} has some words in it.</p>" for n in range(200))
    server.answers("/", f"<html><body><article>{paragraphs}</article></body></html>")
    tool, offset, parts = reader(max_chars=1_000), 0, []
    while True:
        message = call(tool, url=server.url, offset=offset)
        shown, _, more = message.artifact["text"].partition("\n\n(characters")
        parts.append(shown)
        if not more:
            break
        offset = int(more.rpartition("offset=")[2].rstrip(")"))
    whole = "".join(parts)
    assert len(whole) == message.artifact["chars"]
    assert all(f"Paragraph {n} has" in whole for n in range(200))
    assert len(parts) > 5
    assert len(server.asked) == 1


def test_an_offset_past_the_end_is_told(server):
    server.answers("/", GUIDE)
    message = call(reader(), url=server.url, offset=100_000)
    assert message.status == "error"
    assert "nothing at offset 100000" in message.content


@pytest.mark.parametrize(
    ("kind", "body", "read"),
    [
        ("text/plain", "Just text.", "Just text."),
        ("application/json; charset=utf-8", '{"a": 1}', '{"a": 1}'),
        ("application/problem+json", "{}", "{}"),
        ("text/markdown", "# Title\n\nText", "# Title\n\nText"),
        ("application/xml", "<a>1</a>", "<a>1</a>"),
        ("application/rss+xml", "<rss/>", "<rss/>"),
        ("text/csv", "a,b", "a,b"),
        (None, "No kind", "No kind"),
        (None, "<p>Some words</p>", "Some words"),
        (
            "application/xhtml+xml",
            '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml">'
            "<body><p>Ünïcode words</p></body></html>",
            "Ünïcode words",
        ),
    ],
)
def test_text_of_every_kind_is_read(server, kind, body, read):
    server.answers("/", body, kind=kind)
    message = call(reader(), url=server.url)
    assert message.artifact["text"] == read
    assert message.content == f"{server.url}\n\n{read}"


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        ("application/pdf", b"%PDF-1.7", "application/pdf"),
        ("text/html", b"%PDF-1.7 in disguise", "application/pdf"),
        ("image/png", b"\x89PNG", "image/png"),
        ("application/octet-stream", b"x", "application/octet-stream"),
        ("text/plain", b"MZ\0\0binary", "binary data"),
        ("application/zip", b"PK", "application/zip"),
    ],
)
def test_what_is_not_text_is_refused_by_its_kind(server, kind, body, told):
    server.answers("/", body, kind=kind)
    message = call(reader(), url=server.url)
    assert message.status == "error"
    assert f" is {told}, which cannot be read here" in message.content


PAGE = "<html><head><meta charset='{}'></head><body><p>{}</p></body></html>"
FRENCH = "Le café est fermé à Genève, où l’été dernier il faisait très chaud."
RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 5


@pytest.mark.parametrize(
    ("kind", "body", "read"),
    [
        (
            "text/html; charset=iso-8859-1",
            "<p>Genève “quoted”</p>".encode("cp1252"),
            "Genève “quoted”",
        ),
        ("text/html; charset=iso-8859-1", "<p>Genève</p>".encode(), "Genève"),
        ("text/html", PAGE.format("windows-1251", RUSSIAN).encode("cp1251"), RUSSIAN.strip()),
        (
            "text/html; charset=utf-8",
            PAGE.format("koi8-r", RUSSIAN).encode("koi8-r"),
            RUSSIAN.strip(),
        ),
        ("text/html; charset=no-such", "<p>Genève</p>".encode(), "Genève"),
        (
            "text/html",
            PAGE.format("shift_jis", "日本語の文章です。").encode("shift_jis"),
            "日本語の文章です。",
        ),
        ("text/html", PAGE.format("gb2312", "中文的网页。").encode("gb18030"), "中文的网页。"),
        ("text/plain", RUSSIAN.encode("cp1251"), RUSSIAN.strip()),
        ("text/plain", codecs.BOM_UTF16_LE + "Genève".encode("utf-16-le"), "Genève"),
        ("text/plain; charset=utf-8", codecs.BOM_UTF8 + "Genève".encode(), "Genève"),
        ("text/plain", FRENCH.encode("cp1252"), FRENCH),
        ("text/plain; charset=ascii", FRENCH.encode("cp1252"), FRENCH),
    ],
)
def test_a_page_is_decoded_whatever_it_says_of_itself(server, kind, body, read):
    server.answers("/", body, kind=kind)
    assert call(reader(), url=server.url).artifact["text"] == read


@pytest.mark.parametrize(
    "body",
    [
        "",
        "   ",
        "<html><body></body></html>",
        "<html><body><div id=app></div><script>x()</script>",
        "<!-- only a comment -->",
        "<div>" * 100_000,
    ],
)
def test_a_page_without_text_is_told(server, body):
    server.answers("/", body)
    message = call(reader(), url=server.url)
    assert message.status == "error"
    assert "has no text that can be read" in message.content


FRAGMENTS = st.sampled_from(
    [
        "<nav>", "</nav>", "<a href='/x'>", "</a>", "<svg>", "<p>", "</p>", "text ", "<html>",
        "<body>", "<head>", "<title>T</title>", "<!-- c -->", "<?pi?>", "<table><tr><td>", "<h1>",
        "\0", "<a href='http://['>l</a>", "<base href='http://[x'>", "<frameset>", "<template>",
        "<script>", "<!doctype html>", "<html/>", "<![CDATA[x]]>", "<article>", "<main>", "<li>",
    ]
)  # fmt: skip


@given(st.lists(FRAGMENTS, max_size=9))
def test_html_of_any_shape_is_read_or_told_to_have_no_text(fragments):
    answer = Fetched("https://a.example/", 200, "OK", {}, f"<p>{''.join(fragments)}".encode())
    with suppress(ToolException):
        assert page_of(answer).text


@pytest.mark.parametrize(
    "kind", ["hex", "punycode", "idna", "utf-7", "unicode_escape", "undefined"]
)
def test_an_encoding_that_is_none_of_the_webs_is_passed_over(kind):
    assert decoded(b"+AGE- \\u0041", f"text/plain; charset={kind}") == "+AGE- \\u0041"


def test_a_charset_that_is_never_named_takes_no_longer_for_the_headers_length():
    blanks = " " * 1_000_000
    assert decoded(b"a", f"text/plain; charset={blanks}!") == "a"
    assert decoded("Genève".encode("cp1252"), "text/plain; charset= ' cp1252") == "Genève"


def test_a_page_without_marked_content_keeps_its_headings_and_lists(server):
    server.answers(
        "/",
        f"<html><body><h1>Plain</h1><p>{FRENCH * 5}</p><h2>Two</h2><ul><li>x<li>y</ul>"
        f"<table><tr><td>a<td>b</table><p>{RUSSIAN}</p></body></html>",
    )
    text = call(reader(), url=server.url).artifact["text"]
    assert "# Plain" in text
    assert "## Two\n\n- x\n- y" in text
    assert "| a | b |" in text


@pytest.mark.parametrize(
    ("status", "told"), [(404, "404 Not Found"), (403, "403 Forbidden"), (500, "500 Internal")]
)
def test_an_error_status_is_told(server, status, told):
    server.answers("/", "<p>An error page</p>", status=status)
    message = call(reader(), url=server.url)
    assert message.status == "error"
    assert f"answered {told}" in message.content


def test_a_page_that_is_too_large_is_told(server):
    server.answers("/", gzip.compress(b"x" * 2_000), Content_Encoding="gzip")
    message = call(reader(max_bytes=1_000), url=server.url)
    assert message.status == "error"
    assert "larger than 1,000 bytes" in message.content


def test_inner_addresses_are_not_read_unless_they_are_opened(server):
    server.answers("/", GUIDE)
    message = call(read_page(), url=server.url)
    assert message.status == "error"
    assert "not on the public internet" in message.content
    assert server.connections == 0


def test_a_page_is_asked_for_by_name_of_the_kit(server):
    server.answers("/", GUIDE)
    call(reader(), url=server.url)
    call(reader(user_agent="my-app/1.0"), url=server.url)
    agents = [asked.headers["user-agent"] for asked in server.asked]
    assert agents[0].startswith("agentkit/")
    assert agents[1] == "my-app/1.0"


def test_a_page_is_read_again_when_none_is_kept(server):
    server.answers("/", GUIDE)
    tool = reader(cache_seconds=0)
    call(tool, url=server.url)
    call(tool, url=server.url)
    assert len(server.asked) == 2


@pytest.mark.parametrize("options", [{"max_chars": 0}, {"timeout": 0}, {"max_bytes": -1}])
def test_limits_that_cannot_work_are_refused(options):
    with pytest.raises(ConfigurationError):
        read_page(**options)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [(searcher(Engine([])), ["query"]), (read_page(), ["url", "offset"])],
    ids=["web_search", "read_page"],
)
def test_the_tools_only_read_what_anybody_wrote(tool, arguments):
    assert _making.permission_of(tool) == "read"
    assert _making.is_untrusted(tool)
    assert list(tool.args) == arguments


async def test_an_agent_searches_and_reads(server):
    server.answers("/bern", GUIDE)
    url = f"{server.url}/bern"
    script = (
        Script()
        .when("words enough to be read", reply="134, by the guide.")
        .when(
            "1. A guide",
            reply=Reply(tool_calls=[{"name": "read_page", "args": {"url": url}}]),
        )
        .when(
            "How many",
            reply=Reply(tool_calls=[{"name": "web_search", "args": {"query": "people of Bern"}}]),
        )
    )
    engine = Engine([{"title": "A guide", "href": url, "body": ""}])
    agent = create_agent(ScriptedChatModel(script), [searcher(engine), reader()])
    state = await agent.ainvoke({"messages": [("user", "How many people live in Bern?")]})
    assert state["messages"][-1].text == "134, by the guide."
    sources = [
        message.artifact["sources"] for message in state["messages"] if message.type == "tool"
    ]
    assert sources == [
        [{"title": "A guide", "url": url}],
        [{"title": "A guide & more", "url": url}],
    ]


# --- what is kept


def test_what_is_kept_grows_old_and_makes_room():
    now = [0.0]
    kept = AgedCache(2, 10, now=lambda: now[0])
    kept.put("a", 1)
    now[0] = 5
    kept.put("b", 2)
    assert kept.get("a") == 1
    kept.put("c", 3)
    assert [kept.get(key) for key in "abc"] == [1, None, 3]
    now[0] = 10
    assert [kept.get(key) for key in "ac"] == [None, 3]
