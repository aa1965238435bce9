"""A real web server on the loopback interface, and a witness of what is looked up and dialled."""

import contextlib
import json
import socket
import ssl
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Of use to these tests alone: an authority whose key was thrown away, and its one certificate, for
# the name pages.example.
AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBmDCCAT+gAwIBAgIUBAuKtwTaxqpdatMrVmPkpP8ixgkwCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOVGVzdCBhdXRob3JpdHkwIBcNMjYxMTI0MTcyNzEyWhgPMjEy
NjEwMzExNzI3MTJaMBkxFzAVBgNVBAMMDlRlc3QgYXV0aG9yaXR5MFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAED0ACeWq3hpJpF1NBpPazywpQTRn4Ykk0pjx4F4+f
Ze1KV411x6SvdVJYiObinoaNbC9GnD1w4oVUYtp0a9rWSaNjMGEwHwYDVR0jBBgw
FoAU8lJEufJZlI7wpW+GIhXEWZDiJREwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8B
Af8EBAMCAQYwHQYDVR0OBBYEFPJSRLnyWZSO8KVvhiIVxFmQ4iURMAoGCCqGSM49
BAMCA0cAMEQCIGZKamLUWl8MBKb67EuZO2r6JLZx1wdmYQ/F0A65kasIAiBaqnOv
nb6h5x+W7qd3z+Pq5AcsQ5uPOz70CQ7A54ewug==
-----END CERTIFICATE-----
"""
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBxTCCAWygAwIBAgIUAnDFMfsrHBF3ikWLplGKHgT0Gh4wCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOVGVzdCBhdXRob3JpdHkwIBcNMjYxMTI0MTcyNzEyWhgPMjEy
NjEwMzExNzI3MTJaMBgxFjAUBgNVBAMMDXBhZ2VzLmV4YW1wbGUwWTATBgcqhkjO
PQIBBggqhkjOPQMBBwNCAATBlKQsXmWtQd8dzMMDFPpXnbrf2f1qjHs1Etl3jR/N
YCutC93xiuyDmwlYfr0X66ARgx1nIBy2emXsPqDZPOC3o4GQMIGNMAwGA1UdEwEB
/wQCMAAwDgYDVR0PAQH/BAQDAgeAMBMGA1UdJQQMMAoGCCsGAQUFBwMBMBgGA1Ud
EQQRMA+CDXBhZ2VzLmV4YW1wbGUwHQYDVR0OBBYEFP1tFJK9NxO/61pt6bnLVn+0
JMyMMB8GA1UdIwQYMBaAFPJSRLnyWZSO8KVvhiIVxFmQ4iURMAoGCCqGSM49BAMC
A0cAMEQCIAGMhWw+eFAqMuaC+l4oUXnp5Qf1Zg3UdzYuTf1nqkaoAiAauSK0EdNR
2YXIN9nmIJUfYaKC0ua+ye6h89HXHJL+kA==
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgXaMztlCScOP8Lpq7
lPqq1MXyK8hPLD5RnSMs5mnRJP+hRANCAATBlKQsXmWtQd8dzMMDFPpXnbrf2f1q
jHs1Etl3jR/NYCutC93xiuyDmwlYfr0X66ARgx1nIBy2emXsPqDZPOC3
-----END PRIVATE KEY-----
"""


@dataclass(frozen=True)
class Asked:
    """A request as the server got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    server_name: str | None


class WebServer:
    """Answers each path as it was told to.

    An answer is a status, headers and a body, or a function of the request that returns them; an
    iterable body is sent piece by piece until the client has enough.
    """

    def __init__(self, tls=None):
        self.asked = []
        self.connections = 0
        self.bytes_sent = 0
        self.closing = threading.Event()
        self._answers = {}
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._server_names = []
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            context.sni_callback = lambda sock, name, _: self._server_names.append(name)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def port(self):
        return self._server.server_address[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def server_names(self):
        return self._server_names

    def answers(self, path, body=b"", *, status=200, kind="text/html; charset=utf-8", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if kind:
            named["Content-Type"] = kind
        self._answers[path] = lambda _: (status, named, body)

    def redirects(self, path, location, status=302):
        self._answers[path] = lambda _: (status, {"Location": location}, b"")

    def does(self, path, answer):
        self._answers[path] = answer

    def answer(self, request):
        with_query = self._answers.get(request.path)
        found = with_query or self._answers.get(request.path.partition("?")[0])
        return found(request) if found else (404, {"Content-Type": "text/plain"}, b"nothing here")

    def close(self):
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # its threads are waited for, so that no test leaves one behind

    def handle_error(self, request, client_address):
        pass  # a client that hangs up, which is what many of these tests are about


def _handler(web):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self):
            web.connections += 1
            super().setup()

        def respond(self):
            length = int(self.headers.get("Content-Length") or 0)
            request = Asked(
                method=self.command,
                path=self.path,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(length),
                server_name=self.headers.get("Host"),
            )
            web.asked.append(request)
            status, headers, body = web.answer(request)
            self.close_connection = True
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if isinstance(body, str):
                body = body.encode()
            if isinstance(body, bytes) and "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                for piece in [body] if isinstance(body, bytes) else body:
                    self.wfile.write(piece)
                    web.bytes_sent += len(piece)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = respond  # noqa: N815

        def log_message(self, format, *args):
            pass

    return Handler


def as_json(value, status=200):
    """An answer of JSON."""
    return status, {"Content-Type": "application/json"}, json.dumps(value).encode()


def closed_port():
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@dataclass
class Witness:
    """Every address that the process connects to, by any library, while it watches."""

    dialled: list[tuple[str, int]] = field(default_factory=list)


_watching: list[Witness] = []


def _seen(event, arguments):
    if event == "socket.connect" and _watching:
        _, address = arguments
        for witness in _watching:
            witness.dialled.append(tuple(address[:2]))


sys.addaudithook(_seen)  # it cannot be taken out again, and does nothing while no test watches


@contextlib.contextmanager
def watched():
    """Watches what is connected to."""
    witness = Witness()
    _watching.append(witness)
    try:
        yield witness
    finally:
        _watching.remove(witness)


class Names:
    """Stands in for the resolver: names lead where a test says, numbers where libc takes them."""

    def __init__(self):
        self.asked = []
        self._addresses = {}

    def lead(self, name, *addresses):
        """A name and its addresses; each a list makes the next look-up's."""
        self._addresses[name] = addresses

    def getaddrinfo(self, host, port, *args, **kwargs):
        host = host.decode() if isinstance(host, bytes) else host
        self.asked.append(host)
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                (address, port, 0, 0) if ":" in address else (address, port),
            )
            for address in self._found(host)
        ]

    def _found(self, host):
        if host in self._addresses:
            led = self._addresses[host]
            if led and isinstance(led[0], list):
                if len(led) > 1:
                    self._addresses[host] = led[1:]
                return led[0]
            return led
        try:
            return [socket.inet_ntoa(socket.inet_aton(host))]  # 127.1, 0x7f000001, 2130706433 …
        except OSError:
            if ":" in host:
                return [host]
            raise socket.gaierror(socket.EAI_NONAME, f"no such name: {host}") from None
