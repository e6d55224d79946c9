"""Settings of what stands before everything: one TOML file, as in `settings`."""

from collections.abc import Mapping
from pathlib import Path

from appliance.settings import Strict


class FrontSettings(Strict):
    """Keys of `front.toml`: how `casemate site front` sets up haproxy on a site."""

    configuration: Path
    """File that haproxy reads."""

    pages: Path
    """Folder of the answers that haproxy gives by itself."""

    certificates: Path
    """Folder of `users.pem` and `admin.pem` (chain and key), delivered as credentials."""

    users: str
    """Address and port of the users' front end, such as `192.0.2.1:443`."""

    admin: str
    """Address and port of the administrators' front end."""

    cards: Path | None = None
    """Authority of the administrators' cards (PEM); None where they have none."""

    inside: Path
    """Unix socket on which our own processes reach the gateways."""

    gateways: Mapping[str, Path]
    """Name of a gateway worker to its Unix socket."""

    console: Path
    """Unix socket of the console."""

    identity: str = "127.0.0.1:8080"
    """Address and port of Keycloak."""

    measures: str | None = None
    """Address and port on the loopback where Prometheus reads counts; None for none."""
