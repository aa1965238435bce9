"""Which URLs may be asked for, and which addresses may be connected to."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from langchain_core.tools import ToolException

from agentkit._text import shortened
from agentkit.errors import ConfigurationError, MissingExtraError

try:
    import httpx2
except ImportError as error:
    raise MissingExtraError("A web tool", "web") from error

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

# IANA's registry of special-purpose IPv4 addresses (RFC 6890), and Azure's metadata server, which
# has a public address that only its own machines can reach.
_NOT_PUBLIC_IPV4 = tuple(
    ipaddress.IPv4Network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "168.63.129.16/32",
    )
)
# IPv6 is public in this one block only, so that all that is local, reserved or holds an IPv4
# address (mapped, compatible, translated by NAT64) is outside it; what is special inside it is
# Teredo and the other protocol assignments, documentation and 6to4.
_PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_IPV6 = tuple(
    ipaddress.IPv6Network(block)
    for block in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)

_AUTHORITY = re.compile(
    r"(?P<host>\[[0-9a-f:.]+\]|[^\s:@\[\]\\%/?#]+)(:(?P<port>[0-9]{1,5}))?",
    re.ASCII | re.IGNORECASE,
)
_URL = re.compile(r"https?://([^/?#]*)", re.IGNORECASE)
_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")
_LAST_IS_NUMBER = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")
_HIGHEST_PORT = 65_535
_LONGEST_URL = 4_000
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_PORTS = {"http": 80, "https": 443}
_LOOPBACK: tuple[Network, ...] = (
    ipaddress.IPv4Network("127.0.0.0/8"),
    ipaddress.IPv6Network("::1/128"),
)


def checked_url(given: str) -> httpx2.URL:
    """The URL, when it is an http or https one that can be read in one way only.

    Spellings that programs disagree on are refused rather than put right: user names, backslashes,
    control characters, zones, and numbers in place of an address's four parts.

    Raises:
        ToolException: When it is another; the message says which part.
    """
    text = given.strip()
    if not text or len(text) > _LONGEST_URL or _CONTROLS.search(text) or "\\" in text:
        raise _refused(given, "is not a URL that can be read")
    if not (found := _URL.match(text)):
        raise _refused(given, "does not begin with http:// or https:// and a host")
    if "@" in found[1]:
        raise _refused(given, "has a user name in it, which is not allowed")
    authority = _AUTHORITY.fullmatch(found[1])
    if not authority:
        raise _refused(given, "has no host that can be read, or no such port")
    if (port := authority["port"]) and not 0 < int(port) <= _HIGHEST_PORT:
        raise _refused(given, f"has a port that is not between 1 and {_HIGHEST_PORT}")
    try:
        url = httpx2.URL(text).copy_with(fragment=None)
    except (httpx2.InvalidURL, ValueError) as error:
        raise _refused(given, "has a host that cannot be read") from error
    if literal_address(url) is None and not _is_name(host_of(url)):
        raise _refused(given, "has a host that is neither a plain name nor a plain IP address")
    return url


def host_of(url: httpx2.URL) -> str:
    """The URL's host in ASCII, as it is looked up; an IPv6 address without its brackets."""
    return url.raw_host.decode("ascii")


def port_of(url: httpx2.URL) -> int:
    """The URL's port, which is its scheme's where it has none."""
    return url.port or _PORTS[url.scheme]


def literal_address(url: httpx2.URL) -> Address | None:
    """The IP address that the URL has in place of a name."""
    try:
        return ipaddress.ip_address(host_of(url))
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Whether the address is one of the public internet, and holds no other address."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in block for block in _NOT_PUBLIC_IPV4)
    return address in _PUBLIC_IPV6 and not any(address in block for block in _NOT_PUBLIC_IPV6)


def private_networks(given: Iterable[str]) -> tuple[Network, ...]:
    """Networks from their CIDR notation.

    Raises:
        ConfigurationError: When one is not a network.
    """
    if isinstance(given, str):
        raise ConfigurationError(f"allow_private takes a list of networks; got the text {given!r}.")
    try:
        return tuple(ipaddress.ip_network(network) for network in given)
    except ValueError as error:
        raise ConfigurationError(
            f"allow_private takes networks such as '10.0.0.0/8' or 'fd00::/8': {error}."
        ) from error


@dataclass(frozen=True)
class HostRule:
    """A host that may be called.

    Args:
        text: The rule as it was given.
        schemes: The schemes it allows.
        name: A host, or the ending of its subdomains where it begins with a dot.
        port: Its port; None for each scheme's own.
        networks: The networks that are open because the rule names them.
    """

    text: str
    schemes: frozenset[str]
    name: str
    port: int | None
    networks: tuple[Network, ...]

    def allows(self, url: httpx2.URL) -> bool:
        """Whether the URL is one of this host's."""
        host = host_of(url)
        named = host.endswith(self.name) if self.name.startswith(".") else host == self.name
        port = _PORTS[url.scheme] if self.port is None else self.port
        return named and url.scheme in self.schemes and port_of(url) == port


def host_rule(given: str) -> HostRule:
    """A rule from `host`, `*.host`, `host:port`, or one of these after `http://` or `https://`.

    A name without a scheme is called by https only, since what is sent may be secret; an IP address
    and `localhost` by both, and they alone open addresses that are not public.

    Raises:
        ConfigurationError: When it is none of these.
    """
    scheme, _, authority = given.lower().rpartition("://")
    wild, authority = authority.startswith("*."), authority.removeprefix("*.")
    found = _AUTHORITY.fullmatch(authority)
    try:
        url = checked_url(f"{scheme or 'https'}://{authority}")
    except ToolException as error:
        raise _no_host(given) from error
    name, address = host_of(url), literal_address(url)
    if not found or (wild and (address or "." not in name)):
        raise _no_host(given)
    networks = _LOOPBACK if name == "localhost" and not wild else ()
    if address:
        networks = (ipaddress.ip_network(address),)
    schemes = {scheme} if scheme else {"http", "https"} if networks else {"https"}
    return HostRule(
        text=given,
        schemes=frozenset(schemes),
        name=f".{name}" if wild else name,
        port=int(found["port"]) if found["port"] else None,
        networks=networks,
    )


def _is_name(host: str) -> bool:
    # a last label that is a number makes the whole an IPv4 address (WHATWG URL, "ends in a number")
    return bool(_NAME.fullmatch(host)) and not _LAST_IS_NUMBER.fullmatch(host)


def _refused(url: str, why: str) -> ToolException:
    return ToolException(f"The address {shortened(url, 200)!r} was not asked for: it {why}.")


def _no_host(given: str) -> ConfigurationError:
    return ConfigurationError(
        f"A host is given as 'api.example.com', '*.example.com' or 'api.example.com:8443', with "
        f"'http://' or 'https://' before it where only that is meant; got {given!r}."
    )
