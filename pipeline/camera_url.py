"""The one gate through which every camera address passes, whatever way it came in.

An address is parsed here and nowhere else: what is handed on is a `CheckedUrl` with its parts, the credentials
apart, and the literal IP addresses that were checked. `pipeline.sources` connects to those addresses and not to
the name, so that a name cannot point elsewhere between the check and the connection.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote

__all__ = ["CameraUrlError", "CheckedUrl", "UrlPolicy", "check_camera_url", "is_network_url", "mask_url"]

MAX_URL_LENGTH = 2048
DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
Kind = Literal["rtsp", "http", "file"]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Sequence[str]]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_NO_COLON = re.compile(r"(rtsps?|https?)//", re.IGNORECASE)
_HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PATH_SAFE = "/?:@!$&'()*+,;=%~-._[]|"
_SHARED = ipaddress.ip_network("100.64.0.0/10")  # carrier-grade NAT and overlay networks
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")
_PRIVATE = tuple(
    ipaddress.ip_network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10")
)
# Where clouds hand out credentials to whoever asks from inside.
_METADATA = frozenset(
    ipaddress.ip_address(a) for a in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16")
)


class CameraUrlError(ValueError):
    """The address may not be used as a camera; the message is one plain sentence without credentials."""


@dataclass(frozen=True, slots=True)
class UrlPolicy:
    """What addresses are allowed.

    Attributes:
        allow_private: cameras on private networks.
        allow_loopback: cameras on this machine.
        file_roots: folders below which video files may be used as cameras; none means no files.
    """

    allow_private: bool = True
    allow_loopback: bool = False
    file_roots: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckedUrl:
    """An address that was allowed, in its parts.

    Attributes:
        kind: how it is read.
        tls: rtsps and https.
        host: name or literal address as given, lower case, without brackets; empty for files.
        addresses: literal IP addresses, each checked; the only ones to connect to.
        username, password: percent-decoded, or None.
        target: path and query, percent-encoded, beginning with a slash.
        file: the resolved path, for files.
        public: no address is private or loopback, so certificates can be expected to be valid.
    """

    kind: Kind
    tls: bool = False
    host: str = ""
    port: int = 0
    addresses: tuple[str, ...] = ()
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    target: str = field(default="/", repr=False)
    file: Path | None = None
    public: bool = False

    @property
    def origin(self) -> str:
        """``host:port`` for messages; the file's name for files."""
        if self.file is not None:
            return self.file.name
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def through(self, host: str, port: int) -> str:
        """The same request without TLS by way of ``host:port``, credentials included: never print it."""
        login = ""
        if self.username is not None:
            login = quote(self.username, safe="")
            if self.password is not None:
                login += ":" + quote(self.password, safe="")
            login += "@"
        return f"{self.kind}://{login}{host}:{port}{self.target}"


def check_camera_url(url: object, policy: UrlPolicy, *, resolve: Resolver | None = None) -> CheckedUrl:
    """Parse an address and decide whether it may be used.

    Args:
        url: rtsp, rtsps, http, https, ``file:`` or a plain path; anything but a string is refused.
        resolve: ``(host, port) -> literal addresses``, raises OSError; the system's resolver by default.

    Raises:
        CameraUrlError: with the reason as one sentence.
    """
    if not isinstance(url, str):
        raise CameraUrlError(f"A camera address must be text, not {_kind_of(url)}.")
    if not url:
        raise CameraUrlError("The camera address is empty.")
    if len(url) > MAX_URL_LENGTH:
        raise CameraUrlError(f"The camera address is longer than {MAX_URL_LENGTH} characters.")
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for c in url):
        raise CameraUrlError("The camera address contains control or invisible characters.")
    if url.startswith("-"):
        raise CameraUrlError("The camera address must not begin with '-'.")
    if _NO_COLON.match(url):
        raise CameraUrlError("The camera address lacks a colon: rtsp://, rtsps://, http:// or https://.")
    match = _SCHEME.match(url)
    scheme = match.group(1).lower() if match else "file"
    if scheme == "file":
        return _check_file(url, policy)
    if scheme not in DEFAULT_PORTS:
        raise CameraUrlError(
            f"Addresses beginning with '{scheme[:20]}:' are not cameras; use rtsp, rtsps, http or https."
        )
    if any(unicodedata.category(c) == "Zs" for c in url):
        raise CameraUrlError("The camera address contains a space; write it as %20.")
    rest = url[len(scheme) + 1 :]
    if not rest.startswith("//"):
        raise CameraUrlError(f"The camera address must begin with '{scheme}://'.")
    return _check_network(scheme, rest[2:], policy, resolve or _system_resolve)


def is_network_url(url: str) -> bool:
    """Whether this is read over the network (whether it may be is for `check_camera_url` to say)."""
    match = _SCHEME.match(url)
    return match is not None and match.group(1).lower() in DEFAULT_PORTS


def _kind_of(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple | set) else f"a value of type {type(value).__name__}"


def _check_file(url: str, policy: UrlPolicy) -> CheckedUrl:
    if not policy.file_roots:
        raise CameraUrlError("Video files are not allowed as cameras here (camera_file_roots is empty).")
    path = url
    if url[:5].lower() == "file:":
        path = url[5:]
        if path.startswith("//"):
            host, slash, path = path[2:].partition("/")
            if host.lower() not in ("", "localhost"):
                raise CameraUrlError("A file address must not name another machine.")
            path = slash + path
        path = unquote(path)
        if any(unicodedata.category(c) == "Cc" for c in path):
            raise CameraUrlError("The camera address contains control or invisible characters.")
    try:
        resolved = Path(path).resolve()
        below = any(resolved.is_relative_to(root.resolve()) for root in policy.file_roots)
    except (OSError, RuntimeError):  # a loop of links
        below = False
    # Whether a file outside the folders exists is nobody's business, so this comes first.
    if not below:
        raise CameraUrlError("The file is not below a folder that is allowed for cameras (camera_file_roots).")
    if not resolved.is_file():
        raise CameraUrlError(f"There is no video file '{resolved.name}' in the allowed folder.")
    return CheckedUrl(kind="file", file=resolved)


def _check_network(scheme: str, rest: str, policy: UrlPolicy, resolve: Resolver) -> CheckedUrl:
    # A raw '#' belongs to the password here, so the authority ends at '/' or '?' only; the host is what follows
    # its last '@'. What is handed on is rebuilt from these parts, so no second parser can read them differently.
    cut = min((i for i in (rest.find("/"), rest.find("?")) if i >= 0), default=len(rest))
    authority, target = rest[:cut], rest[cut:]
    login, at, place = authority.rpartition("@")
    host, port = _split_place(place, DEFAULT_PORTS[scheme], hint="@" in target)
    username, password = _split_login(login) if at else (None, None)
    if "#" in target:
        raise CameraUrlError("The path of the camera address contains '#'; write it as %23.")
    if "\\" in target:
        raise CameraUrlError("The path of the camera address contains a backslash; write it as %5C.")
    target = quote(target, safe=_PATH_SAFE)
    addresses = _addresses(host, port, resolve)
    public = [_check_address(address, policy) for address in addresses]
    return CheckedUrl(
        kind="rtsp" if scheme.startswith("rtsp") else "http",
        tls=scheme in ("rtsps", "https"),
        host=host,
        port=port,
        addresses=tuple(str(a) for a in addresses),
        username=username,
        password=password,
        target=target if target.startswith("/") else "/" + target,
        public=all(public),
    )


def _split_place(place: str, default_port: int, *, hint: bool) -> tuple[str, int]:
    if place.startswith("["):
        host, bracket, tail = place[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise CameraUrlError("The camera address has an unfinished '[' around its host.")
        port_text = tail[1:] if tail else ""
    else:
        host, colon, port_text = place.partition(":")
        if colon and not port_text:
            port_text = str(default_port)
    if not host:
        raise CameraUrlError("The camera address names no host.")
    if port_text and not (
        port_text.isascii() and port_text.isdigit() and len(port_text) <= 5 and 1 <= int(port_text) <= 65535
    ):
        advice = " If the password contains '/' or '?', write them as %2F and %3F." if hint else ""
        raise CameraUrlError(f"The camera address has a port that is not a number from 1 to 65535.{advice}")
    return host.lower(), int(port_text) if port_text else default_port


def _split_login(login: str) -> tuple[str, str | None]:
    name, colon, secret = login.partition(":")
    username, password = unquote(name), unquote(secret) if colon else None
    if not username or ":" in username:
        raise CameraUrlError("The user name in the camera address is empty or contains ':'.")
    if any(unicodedata.category(c) == "Cc" for c in username + (password or "")):
        raise CameraUrlError("The user name or password in the camera address contains control characters.")
    return username, password


def _addresses(host: str, port: int, resolve: Resolver) -> tuple[Address, ...]:
    if ":" in host:
        if "%" in host:
            raise CameraUrlError("The camera address must not name a network zone.")
        try:
            return (ipaddress.IPv6Address(host),)
        except ValueError:
            raise CameraUrlError("The host of the camera address is not a valid IPv6 address.") from None
    # Anything that ends in a number is an IPv4 address to the system's parser, in decimal, octal or hexadecimal.
    if _NUMERIC_LABEL.fullmatch(host.rstrip(".").rpartition(".")[2]):
        try:
            return (ipaddress.IPv4Address(host),)
        except ValueError:
            raise CameraUrlError("Write the host's IPv4 address as four decimal numbers, like 192.168.1.20.") from None
    try:
        name = host.rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        name = ""
    if len(name) > 253 or not _HOST_NAME.fullmatch(name):
        raise CameraUrlError("The host of the camera address is not a valid name.")
    try:
        found = resolve(name, port)
    except (OSError, UnicodeError):
        raise CameraUrlError(f"The name '{name}' could not be resolved.") from None
    if not found:
        raise CameraUrlError(f"The name '{name}' has no address.")
    return tuple(ipaddress.ip_address(text.partition("%")[0]) for text in dict.fromkeys(found))


def _system_resolve(host: str, port: int) -> list[str]:
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _embedded(address: Address) -> list[Address]:
    """The address and the IPv4 addresses that it carries inside (mapped, 6to4, Teredo, NAT64, compatible)."""
    found: list[Address] = [address]
    if isinstance(address, ipaddress.IPv6Address):
        found += [inner for inner in (address.ipv4_mapped, address.sixtofour) if inner is not None]
        found += list(address.teredo or ())
        if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
            found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return found


def _check_address(address: Address, policy: UrlPolicy) -> bool:
    """Whether it is a public address. Raises CameraUrlError if it must not be used."""
    inner = _embedded(address)
    public = True
    for one in inner[1:] or inner:
        if one in _METADATA or one.is_link_local:
            raise CameraUrlError(
                "The camera address leads to a link-local or metadata address, which is never allowed."
            )
        if one.is_loopback:
            if not policy.allow_loopback:
                raise CameraUrlError("The camera address leads to this machine itself (camera_allow_loopback is off).")
            public = False
        elif one.is_multicast or one.is_unspecified or one in _THIS_NETWORK:
            raise CameraUrlError("The camera address is a multicast or empty address.")
        elif one in _SHARED or any(one in network for network in _PRIVATE):
            if not policy.allow_private:
                raise CameraUrlError("The camera address is on a private network (camera_allow_private is off).")
            public = False
        elif not one.is_global:
            raise CameraUrlError("The camera address is in a range reserved for other purposes.")
    return public


_URL_IN_TEXT = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*://)(\S*)")
_SECRET_IN_QUERY = re.compile(
    r"([?&;](?:[\w.-]*(?:pass(?:word|wd)?|pwd|token|secret|auth|key|credential|user(?:name)?|usr|login))=)[^&\s;#]*",
    re.IGNORECASE,
)


_PLACE = re.compile(r"[\w.-]+|[\w-]+(\.[\w-]+)+:\d{1,5}|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
_HOST_AHEAD = re.compile(r"\[|localhost|[\w-]+\.[\w-]|[\w-]+:\d")


def mask_url(text: str) -> str:
    """The text with the credentials of every address in it replaced by ``***``; for logs and messages."""
    return _SECRET_IN_QUERY.sub(r"\1***", _URL_IN_TEXT.sub(_mask_login, text))


def _mask_login(match: re.Match[str]) -> str:
    scheme, rest = match.group(1), match.group(2)
    cut = min((i for i in (rest.find("/"), rest.find("?")) if i >= 0), default=len(rest))
    at = rest.rfind("@", 0, cut)
    if at < 0 and "@" in rest:
        # An '@' behind the first '/': part of the path, unless a raw '/' or '?' in a password made it look so.
        # In doubt too much is hidden rather than too little.
        last = rest.rfind("@")
        if not _PLACE.fullmatch(rest[:cut]) or _HOST_AHEAD.match(rest, last + 1):
            at = last
    return scheme + ("***@" + rest[at + 1 :] if at >= 0 else rest)
