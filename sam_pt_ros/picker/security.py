"""Access to the picker: only from its own page, and from other machines only with the token."""

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
    """Whether an address or a name is a loopback of this machine."""
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def new_token() -> str:
    """A random token."""
    return secrets.token_urlsafe(16)


def own_names() -> frozenset[str]:
    """Names of this machine in its network."""
    name = socket.gethostname().lower()
    return frozenset({"localhost", name, f"{name.partition('.')[0]}.local"})


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


@dataclass(frozen=True)
class Access:
    """Decides which requests are accepted.

    Attributes:
        host: name or address on which the server listens.
        token: required of every request; None: not required, which needs a loopback ``host``.
        names: other names of the machine.
    """

    host: str
    token: str | None
    names: frozenset[str] = field(default_factory=own_names)

    def __post_init__(self) -> None:
        if self.token is None and not is_loopback(self.host):
            raise UserError(
                f"--host {self.host} can be reached from other machines and needs a token; "
                "give --token"
            )
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise UserError(
                "--token must have 8 to 128 letters, digits, dots, dashes or underscores"
            )

    @property
    def cookie(self) -> str:
        """Name of the cookie with the token; different for every token."""
        return f"sam_pt_picker_{hashlib.sha256((self.token or '').encode()).hexdigest()[:8]}"

    def expects_host(self, header: str | None) -> bool:
        """Whether a Host header names this server.

        This defends against DNS rebinding: a foreign page whose name resolves to this machine
        still sends its own name. Addresses are safe; the port may be that of a tunnel.
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
            header: the Origin; browsers omit it where no script is involved.
            host: the Host header, already checked.
            needed: whether the header is required.
        """
        if header is None:
            return not needed
        return header.lower() == f"http://{host}".lower()

    def knows(self, token: str | None) -> bool:
        """Whether this is the token; True if no token is required."""
        if self.token is None:
            return True
        given = (token or "").encode(errors="surrogateescape")  # cookies may contain any bytes
        return hmac.compare_digest(given, self.token.encode())
