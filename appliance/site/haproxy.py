"""The front: one origin for console, gateway and Keycloak; a socket inside for our own calls.

The template serves the demo (plain HTTP on the loopback) and the site (TLS 1.3). From the user
frontend only the site realm of Keycloak is reachable, never its administration.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from appliance.errors import CODES

AWAY = "CM-NET-08"

_TEMPLATES = Environment(
    loader=PackageLoader("appliance.site"),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 - a configuration file, from our own values
    keep_trailing_newline=True,  # haproxy takes its absence for a cut file
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Administration:
    """The administrators' front end: all of Keycloak and nothing else, with TLS."""

    bind: str  # address and port, such as 192.0.2.1:8443
    port: int  # public
    certificate: str  # PEM file, or an environment variable's words
    cards: str | None = None  # PEM file of the authority of their cards; None: they have none


@dataclass(frozen=True, slots=True)
class Front:
    """What the front joins. Sockets are absolute paths."""

    bind: str  # address and port, such as 127.0.0.1:8080
    port: int  # public
    inside: str  # socket on which our own processes reach the gateways
    gateways: Mapping[str, str]  # name to socket
    console: str  # socket
    identity: str  # address and port of Keycloak
    pages: str  # folder of the answers that haproxy gives by itself, see `answers`
    certificate: str | None = None  # PEM file; None only on the loopback
    inside_mode: str = "600"  # of the socket inside; on a site its folder's group reads too
    admin: Administration | None = None  # a site has one
    measures: str | None = None  # address and port on the loopback, for Prometheus


def render(front: Front) -> str:
    """Return the configuration of haproxy."""
    return _TEMPLATES.get_template("haproxy.cfg.j2").render(
        front=front,
        gateways=[{"name": name, "socket": path} for name, path in front.gateways.items()],
    )


def answers() -> dict[str, bytes]:
    """Return what haproxy says when nobody behind it does: file name to a whole HTTP answer.

    A person reads a page, a program OpenAI's error body; both are a 503, whatever went wrong.
    """
    page = _TEMPLATES.get_template("unavailable.html.j2").render()
    told = CODES[AWAY]
    error = {"message": told.meaning, "type": "server_error", "param": None, "code": AWAY}
    return {
        "503.http": _answer("text/html; charset=utf-8", page.encode()),
        "503-api.http": _answer("application/json", json.dumps({"error": error}).encode()),
    }


def _answer(kind: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 503 Service Unavailable\r\ncontent-type: {kind}\r\n"
        f"content-length: {len(body)}\r\ncache-control: no-store\r\nretry-after: 5\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode() + body
