"""Wikipedia as a tool, over a server that answers as its two REST APIs do."""

from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from agentkit.errors import ConfigurationError
from agentkit.tools import _making
from agentkit.tools.encyclopedia import wikipedia
from tests.support.web import WebServer, as_json, closed_port

ARTICLES = {
    "Bern": ("Bern is the de facto capital of Switzerland.", "<h2>History</h2><p>{}</p>"),
    "AC/DC": ("AC/DC are an Australian rock band.", "<p>A band.</p>"),
    "Köln": ("Cologne is a city on the Rhine.", "<p>A city.</p>"),
}
LONG = " ".join(f"In the year {year} the town grew by one gate." for year in range(1200, 1500))


class Wiki(WebServer):
    """A wiki with a few articles."""

    def __init__(self, url_of_page=True):
        super().__init__()
        self._url_of_page = url_of_page

    def answer(self, request):
        split = urlsplit(request.path)
        if split.path == "/w/rest.php/v1/search/page":
            return as_json({"pages": self.found(parse_qs(split.query))})
        if split.path.startswith("/api/rest_v1/page/summary/"):
            return self.summary(title_in(split.path.rpartition("/")[2]))
        if split.path.startswith("/w/rest.php/v1/page/") and split.path.endswith("/html"):
            return self.article(title_in(split.path.split("/")[-2]))
        return super().answer(request)

    def summary(self, title):
        if title == "Berne":
            return 302, {"Location": "Bern"}, b""
        if title == "Mercury":
            return as_json({"type": "disambiguation", "title": title, "extract": "may refer to"})
        if title not in ARTICLES:
            return as_json({"status": 404, "type": "Internal error"}, status=404)
        told = {"type": "standard", "title": title, "extract": ARTICLES[title][0]}
        if self._url_of_page:
            page = f"https://wiki.example/wiki/{title}"
            told["content_urls"] = {"desktop": {"page": page}}
        return as_json(told)

    def article(self, title):
        body = f"<html><head><title>{title}</title></head><body>{ARTICLES[title][1]}</body></html>"
        return 200, {"Content-Type": "text/html; charset=utf-8"}, body.format(LONG)

    def found(self, query):
        if query["q"] == ["nothing"]:
            return []
        found = [
            {
                "id": 1,
                "key": "Mercury_(planet)",
                "title": "Mercury (planet)",
                "description": "First planet from the Sun",
                "excerpt": 'The planet <span class="searchmatch">Mercury</span> &amp; its orbit',
            },
            {"id": 2, "key": "Mercury", "title": "Mercury (element)", "description": None},
        ]
        return found[: int(query["limit"][0])]


def title_in(part):
    return unquote(part).replace("_", " ")


@pytest.fixture
def wiki():
    wiki = Wiki()
    yield wiki
    wiki.close()


def call(tool, **arguments):
    return tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})


def test_an_articles_introduction_is_told_with_its_address(wiki):
    message = call(wikipedia(base_url=wiki.url), query=" Bern ")
    assert message.content == (
        "Bern\nhttps://wiki.example/wiki/Bern\n\nBern is the de facto capital of Switzerland."
    )
    assert message.artifact == {
        "title": "Bern",
        "text": "Bern is the de facto capital of Switzerland.",
        "sources": [{"title": "Bern", "url": "https://wiki.example/wiki/Bern"}],
    }
    assert len(wiki.asked) == 1


async def test_it_is_async_too(wiki):
    assert "capital" in await wikipedia(base_url=wiki.url).ainvoke({"query": "Bern"})


@pytest.mark.parametrize("title", ["AC/DC", "Köln"])
def test_a_title_of_any_letters_is_found(wiki, title):
    message = call(wikipedia(base_url=wiki.url), query=title)
    assert message.artifact["title"] == title
    assert call(wikipedia(base_url=wiki.url), query=title, full=True).artifact["title"] == title


def test_an_article_of_another_name_is_found_by_it(wiki):
    assert call(wikipedia(base_url=wiki.url), query="Berne").artifact["title"] == "Bern"


def test_the_whole_article_is_read_in_parts(wiki):
    tool = wikipedia(base_url=wiki.url, max_chars=5_000)
    first = call(tool, query="Bern", full=True)
    assert "## History" in first.content
    assert "In the year 1200" in first.content
    offset = int(first.content.rpartition("offset=")[2].rstrip(")"))
    rest = "".join(call(tool, query="Bern", offset=at).content for at in (offset, 2 * offset))
    assert "In the year 1499" in rest


def test_an_address_is_made_where_the_wiki_names_none():
    wiki = Wiki(url_of_page=False)
    try:
        message = call(wikipedia(base_url=wiki.url + "/"), query="AC/DC")
    finally:
        wiki.close()
    assert message.artifact["sources"][0]["url"] == f"{wiki.url}/wiki/AC%2FDC"


def test_a_missing_article_gives_the_nearest_titles(wiki):
    message = call(wikipedia(base_url=wiki.url), query="planet nearest the sun")
    assert message.status == "success"
    assert message.content == (
        "There is no article 'planet nearest the sun'. The nearest:\n"
        "- Mercury (planet): First planet from the Sun: The planet Mercury & its orbit\n"
        "- Mercury (element)\n"
        "Look one of these titles up."
    )
    assert message.artifact == {
        "titles": ["Mercury (planet)", "Mercury (element)"],
        "sources": [
            {"title": "Mercury (planet)", "url": f"{wiki.url}/wiki/Mercury_%28planet%29"},
            {"title": "Mercury (element)", "url": f"{wiki.url}/wiki/Mercury_%28element%29"},
        ],
    }


def test_a_title_of_several_things_gives_their_titles(wiki):
    message = call(wikipedia(base_url=wiki.url, max_titles=1), query="Mercury")
    assert message.content.startswith("'Mercury' can mean several things. The nearest:\n")
    assert message.artifact["titles"] == ["Mercury (planet)"]


@pytest.mark.parametrize(
    ("query", "told"),
    [("nothing", "There is no article 'nothing', and none like it"), (" ", "give a title")],
)
def test_what_is_not_there_is_told(wiki, query, told):
    message = call(wikipedia(base_url=wiki.url), query=query)
    assert message.status == "error"
    assert told in message.content


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((429, {}, b""), "429 Too Many Requests. Try again later, or go on without it."),
        ((200, {}, b"<html>"), "something else than was asked for"),
        ((200, {}, b"[]"), "something else than was asked for"),
        ((200, {}, b"[" * 200_000), "something else than was asked for"),
        ((302, {"Location": "https://other.example/"}, b""), "only these hosts may be called"),
    ],
)
def test_a_wiki_that_answers_otherwise_is_told(wiki, answer, told, monkeypatch):
    monkeypatch.setattr(wiki, "summary", lambda title: answer)
    message = call(wikipedia(base_url=wiki.url), query="Bern")
    assert message.status == "error"
    assert told in message.content


def test_a_wiki_that_is_not_there_is_told():
    message = call(wikipedia(base_url=f"http://127.0.0.1:{closed_port()}"), query="Bern")
    assert message.status == "error"
    assert "cannot be reached" in message.content


def test_the_sender_is_named(wiki):
    call(wikipedia(base_url=wiki.url), query="Bern")
    call(wikipedia(base_url=wiki.url, user_agent="app/1.0 (me@example.com)"), query="Bern")
    first, second = (asked.headers["user-agent"] for asked in wiki.asked)
    assert first.startswith("agentkit/")
    assert second == "app/1.0 (me@example.com)"


def test_what_is_looked_up_stays_in_its_place_of_the_address(wiki):
    call(wikipedia(base_url=wiki.url), query="../../w/rest.php?x#y")
    assert wiki.asked[0].path == "/api/rest_v1/page/summary/..%2F..%2Fw%2Frest.php%3Fx%23y"


@pytest.mark.parametrize(
    "options",
    [
        {"language": "en.evil.example/"},
        {"language": ""},
        {"max_titles": 0},
        {"max_chars": 0},
        {"base_url": "ftp://wiki.example"},
    ],
)
def test_options_that_cannot_work_are_refused(options):
    with pytest.raises(ConfigurationError):
        wikipedia(**options)


def test_the_tool_only_reads_what_anybody_wrote():
    tool = wikipedia(language="de")
    assert _making.permission_of(tool) == "read"
    assert _making.is_untrusted(tool)
    assert list(tool.args) == ["query", "full", "offset"]
    assert "Wikipedia (de)" in tool.description
