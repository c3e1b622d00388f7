"""Who may talk to the picker: only its own page, and beyond this machine only with the token."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
import socket
from dataclasses import dataclass, field

from sam_pt_ros.errors import UserError

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{8,128}")


def is_loopback(host: str) -> bool:
    """Whether an address, or a name, is this machine's alone."""
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def new_token() -> str:
    """A token that nobody can guess."""
    return secrets.token_urlsafe(16)


def own_names() -> frozenset[str]:
    """Names by which others may know this machine."""
    name = socket.gethostname().lower()
    return frozenset({"localhost", name, f"{name.partition('.')[0]}.local"})


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


@dataclass(frozen=True)
class Access:
    """Decides about requests.

    Attributes:
        host: name or address at which the server listens.
        token: what every request must show; None: nothing, on this machine's own address only.
        names: names that the machine has, beside ``host``.
    """

    host: str
    token: str | None
    names: frozenset[str] = field(default_factory=own_names)

    def __post_init__(self) -> None:
        if self.token is None and not is_loopback(self.host):
            raise UserError(f"--host {self.host} can be reached by others; that needs a token")
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise UserError(
                "--token must have 8 to 128 letters, digits, dots, dashes or underscores"
            )

    @property
    def cookie(self) -> str:
        """Name of the cookie that holds the token; another for every token."""
        return f"sam_pt_picker_{hashlib.sha256((self.token or '').encode()).hexdigest()[:8]}"

    def expects_host(self, header: str | None) -> bool:
        """Whether a Host header names this server.

        A page of somebody else, whose name was made to point here, still carries that name. An
        address cannot be made to point anywhere; the port may be that of a tunnel.
        """
        match = _HOST.fullmatch((header or "").lower())
        if match is None:
            return False
        name = match[1].strip("[]")
        if is_loopback(name):
            return True
        if is_loopback(self.host):
            return False
        return _address(name) is not None or name in self.names | {self.host.lower()}

    def expects_origin(self, header: str | None, host: str | None, needed: bool) -> bool:
        """Whether an Origin header is that of the server's own page.

        Args:
            header: the Origin; browsers leave it out where no script had a hand in it.
            host: the Host header, found good.
            needed: whether there must be one.
        """
        if header is None:
            return not needed
        return header.lower() == f"http://{host}".lower()

    def knows(self, token: str | None) -> bool:
        """Whether this is the token; always where there is none."""
        if self.token is None:
            return True
        given = (token or "").encode(errors="surrogateescape")  # cookies may hold any bytes
        return hmac.compare_digest(given, self.token.encode())
