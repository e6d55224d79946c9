"""The front: one origin for console, gateway and Keycloak; a socket inside for our own calls.

The template serves the demo (plain HTTP on the loopback) and the site (TLS 1.3). From the user
frontend only the site realm of Keycloak is reachable, never its administration.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

_TEMPLATES = Environment(
    loader=PackageLoader("appliance.site"),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 - a configuration file, from our own values
    keep_trailing_newline=True,  # haproxy takes its absence for a cut file
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Front:
    """What the front joins. Sockets are absolute paths."""

    bind: str  # address and port, such as 127.0.0.1:8080
    port: int  # public
    inside: str  # socket on which our own processes reach the gateways
    gateways: Mapping[str, str]  # name to socket
    console: str  # socket
    identity: str  # address and port of Keycloak
    certificate: str | None = None  # PEM file; None only on the loopback


def render(front: Front) -> str:
    """Return the configuration of haproxy."""
    return _TEMPLATES.get_template("haproxy.cfg.j2").render(
        bind=front.bind,
        port=front.port,
        inside=front.inside,
        gateways=[{"name": name, "socket": path} for name, path in front.gateways.items()],
        console=front.console,
        identity=front.identity,
        certificate=front.certificate,
    )
