"""The folder of one embedded stack: where everything is, its credentials, its settings files.

Everything of a stack is below one folder, so that two stacks share nothing and a folder can be
thrown away whole. Ports are kept between starts: the issuer of tokens holds one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.site import credentials
from appliance.site.machine import free_ports, is_free

PRIVATE_PORTS = ("postgres", "keycloak", "management")


@dataclass(frozen=True, slots=True)
class Folder:
    """Paths of one stack, below `root` (absolute)."""

    root: Path

    @property
    def settings(self) -> Path:
        """One TOML file per process."""
        return self.root / "settings"

    @property
    def credentials(self) -> Path:
        """Secrets, one per file, readable by the owner alone."""
        return self.root / "credentials"

    @property
    def run(self) -> Path:
        """Sockets of our processes, also among themselves."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        """Output of each process. The signed log is in `log`."""
        return self.root / "logs"

    @property
    def log(self) -> Path:
        """The signed log."""
        return self.root / "log"

    @property
    def last_signed(self) -> Path:
        """Last signed root; another volume on a site."""
        return self.root / "last-signed"

    @property
    def postgres(self) -> Path:
        """The cluster of PostgreSQL."""
        return self.root / "pg"

    @property
    def keycloak(self) -> Path:
        """The distribution of Keycloak, built."""
        return self.root / "keycloak"

    @property
    def objects(self) -> Path:
        """Encrypted originals."""
        return self.root / "objects"

    @property
    def reader(self) -> Path:
        """Keys of the reader's months, wrapped, and the approvals that it used."""
        return self.root / "reader"

    @property
    def reader_key(self) -> Path:
        """Public half of the reader's key of this month."""
        return self.root / "reader-key.pub"

    @property
    def policy(self) -> Path:
        """Written by `casemate site apply`."""
        return self.root / "policy.json"

    @property
    def accounts(self) -> Path:
        """Generated passwords and one-time code secrets of the demo's people."""
        return self.credentials / "accounts.json"

    @property
    def site(self) -> Path:
        """The declared site, as it was applied."""
        return self.root / "site.toml"

    @property
    def verifier_key(self) -> Path:
        """Key that verifies the log, as on the installation report."""
        return self.log / "verifier-key"

    @property
    def exports(self) -> Path:
        """Exports of the log that auditors asked for."""
        return self.root / "exports"

    @property
    def stack(self) -> Path:
        """What runs: address, pids, accounts, settings files."""
        return self.root / "stack.json"

    def socket(self, name: str) -> Path:
        """Return the socket of a process."""
        return self.run / f"{name}.sock"

    def secret(self, name: str) -> Path:
        """Return the file of a credential."""
        return self.credentials / name

    def toml(self, name: str) -> Path:
        """Return the settings file of a process."""
        return self.settings / f"{name}.toml"


def prepare(root: Path) -> Folder:
    """Make the folders and the credentials that are missing; nothing made is ever replaced."""
    folder = Folder(root.resolve())
    for path in (folder.root, folder.settings, folder.run, folder.logs, folder.objects):
        path.mkdir(parents=True, exist_ok=True)
    for path in (folder.log, folder.last_signed, folder.credentials, folder.reader):
        path.mkdir(mode=0o700, exist_ok=True)
    credentials.make(folder.credentials, credentials.NAMES, 0o600)
    for stale in folder.run.iterdir():  # of processes that were killed
        if not stale.is_dir():
            stale.unlink()
    return folder


def choose_ports(folder: Folder, front: int) -> Mapping[str, int]:
    """Return the ports of this stack: the last ones where they are free, else new ones.

    Args:
        folder: Of the stack.
        front: Public port that was asked for; 0 for any.
    """
    kept = folder.root / "ports.json"
    last: dict[str, int] = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    names = ("front", *PRIVATE_PORTS)
    fresh = dict(zip(names, free_ports(len(names)), strict=True))
    ports = {
        name: last[name] if name in last and is_free(last[name]) else fresh[name]
        for name in names
    }
    if front:
        ports["front"] = front
    kept.write_text(json.dumps(ports), "utf-8")
    return ports


def write_settings(folder: Folder, name: str, values: Mapping[str, object]) -> Path:
    """Write the settings file of a process."""
    path = folder.toml(name)
    path.write_text(toml(values), "utf-8")
    return path


def toml(values: Mapping[str, object]) -> str:
    """Return a mapping as TOML: a JSON string is a TOML string, mappings become inline."""
    return "".join(
        f"{_toml_value(key)} = {_toml_value(value)}\n" for key, value in values.items()
    )


def _toml_value(value: object) -> str:
    if isinstance(value, Mapping):
        pairs = (
            f"{_toml_value(str(key))} = {_toml_value(item)}" for key, item in value.items()
        )
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
