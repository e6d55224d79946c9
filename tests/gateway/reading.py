"""Settings of a reader beside the site of a test."""

import os
from typing import Any

from psycopg.conninfo import make_conninfo

from appliance.trail_settings import ReaderSettings
from tests.gateway.stand import Site


def reader_settings(site: Site, **changes: Any) -> ReaderSettings:
    folder = site.folder
    wrapping = folder / "reader-key"
    if not wrapping.exists():
        wrapping.write_bytes(os.urandom(32))
    (folder / "months").mkdir(exist_ok=True)
    values: dict[str, Any] = {
        "socket": folder / "reader.sock", "clients": {os.getuid()}, "gateways": {os.getuid()},
        "recorder": site.log.socket, "policy": folder / "policy.json",
        "database": make_conninfo(site.database, user="casemate_opener"),
        "keys": folder / "months", "wrapping_key": wrapping,
        "public_key": folder / "reader.pub",
    }  # fmt: skip
    return ReaderSettings(**(values | changes))
