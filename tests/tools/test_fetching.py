"""The guard of the web tools: what may be asked for, and where a connection may go."""

import asyncio
import gzip
import ipaddress
import itertools
import os
import socket
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.tools import ToolException

from agentkit.errors import ConfigurationError
from agentkit.tools._addresses import checked_url, host_of, host_rule, is_public
from agentkit.tools._fetching import Fetcher
from tests.support.web import (
    AUTHORITY,
    CERTIFICATE,
    Names,
    WebServer,
    closed_port,
    watched,
)

# Addresses that are not public, each asked for as a URL's host and as what a name leads to.
NOT_PUBLIC = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "169.254.169.254",  # the metadata server of most clouds
    "169.254.170.2",  # that of AWS ECS tasks
    "100.64.0.1",
    "100.100.100.200",  # Alibaba's metadata server
    "168.63.129.16",  # Azure's
    "192.0.0.192",  # Oracle's
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",  # AWS's metadata server
    "fd20:ce::254",  # Google's
    "ff02::1",
    "100::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:8.8.8.8",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b:1::10.0.0.1",
    "2002:7f00:1::",  # 6to4 of 127.0.0.1
    "2002:a9fe:a9fe::",  # 6to4 of 169.254.169.254
    "2001:0:4136:e378:8000:63bf:80ff:fffe",  # Teredo of 127.0.0.1
    "2001::1",
]

SPELLINGS = [
    # numbers in place of an address's four parts
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.0.0.1:{port}/",
    "http://0x7f.0x0.0x0.0x1:{port}/",
    "http://017700000001:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0177.0000.0000.0001:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://0:{port}/",
    "http://0.0:{port}/",
    "http://127.0.0.01:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://425.510.425.510/",
    "http://4294967297:{port}/",
    "http://127.0.0.1.1:{port}/",
    "http://localhost.127:{port}/",
    # other alphabets
    "http://127。0。0。1:{port}/",
    "http://１２７.０.０.１:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}/",
    "http://local\u00adhost:{port}/",
    "http://local\u200bhost:{port}/",
    "http://LOCALHOST:{port}/",
    # names
    "http://localhost:{port}/",
    "http://localhost.:{port}/",
    "http://loopback.example:{port}/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://instance-data/latest/meta-data/",
    "http://127.0.0.1.nip.example:{port}/",
    # user names, and what looks like one
    "http://example.com@127.0.0.1:{port}/",
    "http://example.com:80@127.0.0.1:{port}/",
    "http://user:password@public.example/",
    "http://@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}@public.example/",
    "http://public.example:80@@127.0.0.1:{port}/",
    "http://public.example%40127.0.0.1:{port}/",
    # what parsers disagree on
    "http://public.example\\@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@public.example/",
    "http:\\\\127.0.0.1:{port}\\",
    "http:/\\127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "http:/127.0.0.1:{port}/",
    "http:127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#@public.example/",
    "http://127.0.0.1:{port}?@public.example/",
    "http://public.example#@127.0.0.1:{port}\\",
    "http://127.0.0.1%00.public.example:{port}/",
    "http://127.0.0.1\x00.public.example:{port}/",
    "http://127.0.0.1\t:{port}/",
    "http://127.0.0.1\r\nHost: public.example:{port}/",
    "http://public.example\n127.0.0.1:{port}/",
    "http://127.0.0.1 .public.example:{port}/",
    "http://%31%32%37.0.0.1:{port}/",
    "http://%6c%6f%63alhost:{port}/",
    "http://127.0.0.1%2f:{port}/",
    "http://[::1]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[::1%25lo]:{port}/",
    "http://[::1%lo]:{port}/",
    "http://[fe80::1%25eth0]/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[v1.fe80]:{port}/",
    "http://[127.0.0.1]:{port}/",
    "http://[::1:{port}/",
    "http://::1:{port}/",
    # ports
    "http://public.example:0/",
    "http://public.example:65536/",
    "http://public.example:99999/",
    "http://public.example:-1/",
    "http://public.example:8_0/",
    "http://public.example:８０/",
    "http://public.example:80:80/",
    "http://127.0.0.1:0{port}/",
    # no web address at all
    "file:///etc/passwd",
    "file://127.0.0.1/etc/passwd",
    "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_GET%20/",
    "dict://127.0.0.1:{port}/",
    "ldap://127.0.0.1:{port}/",
    "ws://127.0.0.1:{port}/",
    "data:text/html,hello",
    "javascript:alert(1)",
    "jar:http://127.0.0.1:{port}/!/",
    "unix:///var/run/docker.sock",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}",
    "http://",
    "http://?",
    "http://.:{port}/",
    "http://..:{port}/",
    "http://-public.example/",
    "http://public..example/",
    "",
    "http://public.example/" + "a" * 4_000,
]


@pytest.fixture
def names(monkeypatch):
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    for name in ("localhost", "loopback.example", "127.0.0.1.nip.example"):
        names.lead(name, "127.0.0.1")
    names.lead("metadata.google.internal", "169.254.169.254")
    names.lead("instance-data", "169.254.169.254")
    return names


@pytest.fixture
def secret():
    server = WebServer()
    server.answers("/", "the secret")
    yield server
    server.close()


@pytest.fixture
def pages():
    server = WebServer()
    yield server
    server.close()


def fetcher(**options):
    return Fetcher(**{"timeout": 10, "max_bytes": 1_000_000, **options})


def loopback_fetcher(**options):
    return fetcher(allow_private=["127.0.0.1/32"], **options)


def in_a_url(address):
    return f"[{address}]" if ":" in address else address


async def refused(url, by=None):
    with watched() as witness, pytest.raises(ToolException) as raised:
        await (by or fetcher()).fetch(url)
    return witness.dialled, str(raised.value)


@pytest.mark.parametrize("url", SPELLINGS)
async def test_a_spelling_that_leads_inside_is_refused_before_any_connection(url, secret, names):
    dialled, told = await refused(url.replace("{port}", str(secret.port)))
    assert dialled == []
    assert secret.connections == 0
    assert told.endswith(".")


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_an_address_that_is_not_public_is_refused_before_any_connection(
    address, secret, names
):
    dialled, told = await refused(f"http://{in_a_url(address)}:{secret.port}/")
    assert dialled == []
    assert "public" in told


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_a_name_that_leads_to_one_is_refused_and_the_address_is_not_told(
    address, secret, names
):
    names.lead("inside.example", address)
    dialled, told = await refused(f"http://inside.example:{secret.port}/")
    assert dialled == []
    assert names.asked == ["inside.example"]
    assert address not in told


@pytest.mark.parametrize("order", list(itertools.permutations(["93.184.216.34", "10.0.0.1"])))
async def test_a_name_with_one_inner_address_among_public_ones_is_refused(order, names):
    names.lead("both.example", *order)
    dialled, _ = await refused("http://both.example/")
    assert dialled == []


async def test_the_corpus_is_of_what_would_be_reached_without_the_guard(secret, names):
    # the witness sees a connection, and the server is there to be found
    with watched() as witness:
        got = await loopback_fetcher().fetch(f"http://loopback.example:{secret.port}/")
    assert got.body == b"the secret"
    assert witness.dialled == [("127.0.0.1", secret.port)]
    assert secret.connections == 1


def test_the_corpus_is_as_large_as_it_is_said_to_be():
    assert len(set(SPELLINGS)) + 2 * len(set(NOT_PUBLIC)) + len(set(REDIRECTS)) >= 190


REDIRECTS = [
    "http://127.0.0.2:{port}/",
    "http://[::1]:{port}/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2130706433:{port}/",
    "http://0x7f.1:{port}/",
    "http://inside.example:{port}/",
    "//inside.example:{port}/",
    "//10.0.0.1/",
    "http://user@127.0.0.1:{port}/",
    "http:\\\\127.0.0.1:{port}/",
    "https://192.168.0.1/",
    "file:///etc/passwd",
    "ftp://127.0.0.1/",
    "gopher://127.0.0.1:{port}/_",
    "data:text/plain,hello",
    "javascript:alert(1)",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://127.0.0.1:99999/",
    "http://[",
    "http://１２７.0.0.1:{port}/",
]


@pytest.mark.parametrize("location", REDIRECTS)
async def test_a_redirect_inside_is_refused_before_any_connection(location, pages, secret, names):
    names.lead("inside.example", "127.0.0.2")
    named = location.replace("{port}", str(secret.port))
    pages.redirects("/", named.encode().decode("latin-1"))
    dialled, _ = await refused(pages.url, by=loopback_fetcher())
    assert dialled == [("127.0.0.1", pages.port)]
    assert secret.connections == 0


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_each_kind_of_redirect_is_checked(status, method, pages, names):
    pages.redirects("/", "http://10.0.0.1/", status)
    with watched() as witness, pytest.raises(ToolException, match="public"):
        await loopback_fetcher().fetch(pages.url, method=method)
    assert witness.dialled == [("127.0.0.1", pages.port)]


async def test_a_name_is_looked_up_once_so_that_it_cannot_be_bound_anew(pages, names):
    pages.answers("/", "a page")
    names.lead("rebinding.example", ["127.0.0.1"], ["127.0.0.2"])
    url = f"http://rebinding.example:{pages.port}/"
    with watched() as witness:
        assert (await loopback_fetcher().fetch(url)).body == b"a page"
    assert names.asked == ["rebinding.example"]
    assert witness.dialled == [("127.0.0.1", pages.port)]
    assert (await refused(url, by=loopback_fetcher()))[0] == []


async def test_a_name_is_checked_again_when_a_redirect_leads_back_to_it(pages, names):
    pages.redirects("/", "/again")
    pages.answers("/again", "inside")
    names.lead("rebinding.example", ["127.0.0.1"], ["127.0.0.2"])
    dialled, _ = await refused(f"http://rebinding.example:{pages.port}/", by=loopback_fetcher())
    assert dialled == [("127.0.0.1", pages.port)]
    assert [asked.path for asked in pages.asked] == ["/"]


async def test_the_next_address_is_tried_when_the_first_cannot_be_reached(pages, names):
    pages.answers("/", "a page")
    names.lead("two.example", "::1", "127.0.0.1")
    by = fetcher(allow_private=["127.0.0.1/32", "::1/128"])
    with watched() as witness:
        assert (await by.fetch(f"http://two.example:{pages.port}/")).body == b"a page"
    assert [address for address, _ in witness.dialled] == ["::1", "127.0.0.1"]


@given(st.integers(0, 2**32 - 1))
def test_no_number_but_four_plain_parts_is_an_address(number):
    address = ipaddress.IPv4Address(number)
    parts = address.packed
    for host in (
        str(number),
        hex(number),
        f"0{number:o}",
        f"{parts[0]}.{number & 0xFFFFFF}",
        f"{parts[0]}.{parts[1]}.{number & 0xFFFF}",
        ".".join(hex(part) for part in parts),
        ".".join(f"0{part:o}" for part in parts),
        f"{address}.",
    ):
        with pytest.raises(ToolException):
            checked_url(f"http://{host}/")
    assert host_of(checked_url(f"http://{address}/")) == str(address)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_nothing_is_public_that_the_standard_library_knows_to_be_special(address):
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=4))
def test_no_ipv6_address_that_holds_an_ipv4_address_is_public(inner):
    number = int(inner)
    for outer in (
        number,  # compatible
        (0xFFFF << 32) | number,  # mapped
        (0xFFFF << 48) | number,  # translated
        (0x0064_FF9B << 96) | number,  # NAT64
        (0x2002 << 112) | (number << 80),  # 6to4
        (0x2001_0000 << 96) | (number ^ 0xFFFFFFFF),  # Teredo
    ):
        assert not is_public(ipaddress.IPv6Address(outer))


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:2800:220:1::1", "2a00::1"])
def test_public_addresses_are_public(address):
    assert is_public(ipaddress.ip_address(address))


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    for url in (text, f"http://{text}", f"http://{text}@127.0.0.1/", f"http://a.example/{text}"):
        try:
            found = checked_url(url)
        except ToolException:
            continue
        assert found.scheme in {"http", "https"}
        assert found.userinfo == b""
        assert host_of(found)


@pytest.mark.parametrize(
    ("given_url", "read_as"),
    [
        (" https://example.com/a b?q=c d#e ", "https://example.com/a%20b?q=c%20d"),
        ("HTTP://EXAMPLE.com:80/", "http://example.com/"),
        ("https://münchen.example/ü", "https://xn--mnchen-3ya.example/%C3%BC"),
        ("https://a_b.example:8443", "https://a_b.example:8443/"),
        ("http://[2606:2800:220:1::1]:8080/", "http://[2606:2800:220:1::1]:8080/"),
    ],
)
def test_an_ordinary_address_is_read(given_url, read_as):
    url = checked_url(given_url)
    assert str(url).rstrip("/") == read_as.rstrip("/")


def test_why_an_address_is_refused_is_told():
    for url, why in (
        ("ftp://example.com/", "does not begin with http:// or https:// and a host"),
        ("http://user:word@example.com/", "has a user name in it"),
        ("http://example.com:70000/", "has a port that is not between 1 and 65535"),
        ("http://127.1/", "neither a plain name nor a plain IP address"),
    ):
        with pytest.raises(ToolException, match=why):
            checked_url(url)


async def test_the_environments_proxy_is_not_used(pages, secret, names, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, secret.url)
    pages.answers("/", "a page")
    assert (await loopback_fetcher().fetch(pages.url)).body == b"a page"
    assert secret.connections == 0


async def test_a_given_proxy_is_asked_for_the_address_that_was_checked(pages, names):
    pages.does("http://127.0.0.1:81/page", lambda request: (200, {}, b"by the proxy"))
    names.lead("named.example", "127.0.0.1")
    by = loopback_fetcher(proxy=pages.url)
    got = await by.fetch("http://named.example:81/page")
    assert got.body == b"by the proxy"
    assert pages.asked[0].headers["host"] == "named.example:81"
    assert (await refused("http://10.0.0.1/", by=by))[0] == []


async def test_tls_is_checked_for_the_name_and_not_for_its_address(names, tmp_path, monkeypatch):
    (tmp_path / "authority.pem").write_text(AUTHORITY)
    (tmp_path / "server.pem").write_text(CERTIFICATE)
    monkeypatch.setenv("SSL_CERT_FILE", os.fspath(tmp_path / "authority.pem"))
    server = WebServer(tls=tmp_path / "server.pem")
    try:
        server.answers("/", "a page")
        names.lead("pages.example", "127.0.0.1")
        names.lead("other.example", "127.0.0.1")
        by = loopback_fetcher()
        got = await by.fetch(f"https://pages.example:{server.port}/")
        assert got.body == b"a page"
        assert server.server_names == ["pages.example"]
        assert server.asked[0].headers["host"] == f"pages.example:{server.port}"
        _, told = await refused(f"https://other.example:{server.port}/", by=by)
        assert "certificate" in told
        assert len(server.asked) == 1
    finally:
        server.close()


async def test_own_headers_go_where_they_were_sent_and_nowhere_else(pages, secret, names):
    names.lead("other.example", "127.0.0.1")
    pages.redirects("/", "/same")
    pages.redirects("/same", f"http://other.example:{pages.port}/other")
    pages.redirects("/other", f"{pages.url}/back")
    pages.answers("/back", "done", Set_Cookie="a=b")
    got = await loopback_fetcher().fetch(pages.url, headers={"X-Token": "swordfish"})
    assert got.url == f"{pages.url}/back"
    tokens = {asked.path: asked.headers.get("x-token") for asked in pages.asked}
    assert tokens == {
        "/": "swordfish",
        "/same": "swordfish",
        "/other": None,
        "/back": "swordfish",
    }


async def test_no_cookie_is_kept(pages):
    pages.does("/", lambda _: (302, {"Location": "/next", "Set-Cookie": "a=b; Path=/"}, b""))
    pages.answers("/next", "done")
    by = loopback_fetcher()
    await by.fetch(pages.url)
    await by.fetch(pages.url)
    assert [asked.headers.get("cookie") for asked in pages.asked] == [None] * 4


async def test_endless_redirects_end(pages):
    pages.does("/", lambda _: (302, {"Location": "/"}, b""))
    with pytest.raises(ToolException, match="redirects more than 5 times"):
        await loopback_fetcher().fetch(pages.url)
    assert len(pages.asked) == 6


async def test_a_redirect_of_a_write_is_not_followed(pages):
    pages.redirects("/", "/next", status=307)
    got = await loopback_fetcher().fetch(pages.url, method="POST", content=b"{}")
    assert (got.status, got.headers["location"]) == (307, "/next")
    assert [asked.method for asked in pages.asked] == ["POST"]


async def test_a_page_of_100_megabytes_is_not_read_to_its_end(pages):
    piece = bytes(100_000)
    pages.does("/", lambda _: (200, {}, (piece for _ in range(1_000))))
    with pytest.raises(ToolException, match=r"larger than 1,000,000 bytes"):
        await loopback_fetcher().fetch(pages.url)
    pages.close()
    assert pages.bytes_sent < 20_000_000


@pytest.fixture(scope="module")
def bomb():
    packed = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    zeros = bytes(1_000_000)
    return b"".join([*(packed.compress(zeros) for _ in range(100)), packed.flush()])


async def test_a_small_body_that_unpacks_to_100_megabytes_is_not_unpacked(pages, bomb):
    assert len(bomb) < 1_000_000
    pages.answers("/", bomb, Content_Encoding="gzip")
    tracemalloc.start()
    try:
        with pytest.raises(ToolException, match="larger than 1,000,000 bytes"):
            await loopback_fetcher().fetch(pages.url)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000


async def test_a_gzip_header_without_end_counts_as_what_was_sent(pages):
    start = b"\x1f\x8b\x08\x08" + bytes(6)  # what follows is a file name, until a zero byte
    pages.answers("/", start + b"x" * 1_100_000, Content_Encoding="gzip")
    with pytest.raises(ToolException, match="larger than 1,000,000 bytes"):
        await loopback_fetcher().fetch(pages.url)


async def test_a_body_of_just_the_limit_is_read(pages):
    pages.answers("/", gzip.compress(b"x" * 1_000_000), Content_Encoding="gzip")
    assert len((await loopback_fetcher().fetch(pages.url)).body) == 1_000_000


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "deflate", "zstd"])
async def test_a_compression_that_was_not_asked_for_is_refused(pages, encoding):
    pages.answers("/", b"x", Content_Encoding=encoding)
    with pytest.raises(ToolException, match="encoding"):
        await loopback_fetcher().fetch(pages.url)


async def test_damaged_compression_is_told(pages):
    pages.answers("/", b"not gzip", Content_Encoding="gzip")
    with pytest.raises(ToolException, match="damaged"):
        await loopback_fetcher().fetch(pages.url)


async def test_a_server_that_hangs_is_left(pages):
    def hang(_):
        pages.closing.wait(60)
        return 200, {}, b""

    pages.does("/", hang)
    with pytest.raises(ToolException, match=r"did not answer within 0\.2 seconds"):
        await loopback_fetcher(timeout=0.2).fetch(pages.url)


async def test_a_server_that_sends_a_byte_now_and_then_is_left(pages):
    def drip():
        while not pages.closing.wait(0.01):
            yield b"x"

    pages.does("/", lambda _: (200, {}, drip()))
    with pytest.raises(ToolException, match="did not answer within"):
        await loopback_fetcher(timeout=0.3).fetch(pages.url)


async def test_a_server_that_is_not_there_is_told(names):
    with pytest.raises(ToolException, match=r"127\.0\.0\.1 cannot be reached"):
        await loopback_fetcher().fetch(f"http://127.0.0.1:{closed_port()}/")


async def test_a_server_that_breaks_off_is_told(pages):
    pages.does("/", lambda _: (200, {"Content-Length": "100"}, b"short"))
    with pytest.raises(ToolException, match="cannot be reached"):
        await loopback_fetcher().fetch(pages.url)


async def test_a_name_that_is_not_known_is_told(names):
    with pytest.raises(ToolException, match=r"'nowhere\.example' was not found"):
        await fetcher().fetch("http://nowhere.example/")


async def test_a_call_that_is_cancelled_leaves_no_connection(pages):
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang(_):
        loop.call_soon_threadsafe(reached.set)
        pages.closing.wait(60)
        return 200, {}, b""

    pages.does("/", hang)
    task = asyncio.create_task(loopback_fetcher().fetch(pages.url))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("rule", "allowed", "not_allowed"),
    [
        (
            "api.example.com",
            ["https://api.example.com/v1", "https://API.example.com:443/"],
            [
                "http://api.example.com/",
                "https://api.example.com:8443/",
                "https://example.com/",
                "https://xapi.example.com/",
                "https://api.example.com.evil.example/",
            ],
        ),
        (
            "*.example.com",
            ["https://a.example.com/", "https://a.b.example.com/"],
            ["https://example.com/", "https://badexample.com/"],
        ),
        ("api.example.com:8443", ["https://api.example.com:8443/"], ["https://api.example.com/"]),
        ("http://api.example.com", ["http://api.example.com/"], ["https://api.example.com/"]),
        ("127.0.0.1:80", ["http://127.0.0.1/"], ["https://127.0.0.1/", "http://localhost/"]),
        ("[::1]:8000", ["http://[::1]:8000/"], ["http://[::1]/"]),
        ("localhost:8000", ["http://localhost:8000/"], ["http://localhost.example:8000/"]),
    ],
)
def test_a_host_rule_allows_its_host_and_no_other(rule, allowed, not_allowed):
    made = host_rule(rule)
    assert all(made.allows(checked_url(url)) for url in allowed)
    assert not any(made.allows(checked_url(url)) for url in not_allowed)


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "*",
        "*.",
        "*.com",
        "*.127.0.0.1",
        "a.example/path",
        "ftp://a.example",
        "a.example:0",
        "u@a.example",
        "a.example?x",
        "exa mple.com",
        "*.*.example.com",
        "0x7f.1",
    ],
)
def test_what_is_no_host_is_refused_as_a_rule(rule):
    with pytest.raises(ConfigurationError, match=r"api\.example\.com"):
        host_rule(rule)


@pytest.mark.parametrize("networks", [["10.0.0.1/8"], ["inside"], "10.0.0.0/8"])
def test_what_is_no_network_is_refused(networks):
    with pytest.raises(ConfigurationError, match="allow_private takes"):
        fetcher(allow_private=networks)


@pytest.mark.parametrize("limits", [{"timeout": 0}, {"max_bytes": 0}])
def test_limits_are_above_nothing(limits):
    with pytest.raises(ConfigurationError, match=r"`(timeout|max_bytes)` is a"):
        fetcher(**limits)
