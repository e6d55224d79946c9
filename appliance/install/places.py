"""Where an installation finds and puts things, below one root (`/` on a site)."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    """Paths of the target machine."""

    root: Path = Path("/")

    @property
    def data(self) -> Path:
        """Store, releases, and what the services keep."""
        return self.root / "var/lib/casemate"

    @property
    def install(self) -> Path:
        """State, journal, report: the record of the installation. Root's alone."""
        return self.data / "install"

    @property
    def settings(self) -> Path:
        """Of the services and of the site."""
        return self.root / "etc/casemate"

    @property
    def inventory(self) -> Path:
        """What the playbooks know of this site."""
        return self.settings / "inventory.json"

    @property
    def declared(self) -> Path:
        """The declared site, unless the engineer brought one."""
        return self.settings / "site.toml"

    @property
    def key(self) -> Path:
        """Signs reports; made here, never elsewhere."""
        return self.settings / "secrets/report-key"

    @property
    def controller(self) -> Path:
        """Environment of the installer and of Ansible."""
        return self.root / "opt/casemate/controller"

    @property
    def current(self) -> Path:
        """Name of the release that runs."""
        return self.root / "opt/casemate/current"

    @property
    def recorder(self) -> Path:
        """Socket of the recorder."""
        return self.root / "run/casemate/recorder/socket"

    @property
    def log_key(self) -> Path:
        """Key that verifies the signed log."""
        return self.settings / "log.vkey"

    @property
    def authority(self) -> Path:
        """Certificate of the site's own authority, when it has one."""
        return self.settings / "pki/ca.crt"

    @property
    def reports(self) -> Path:
        """Signed reports."""
        return self.install / "report"

    @property
    def paper(self) -> Path:
        """The report to read: the PDF, or Markdown where none could be set."""
        pdf = self.reports / "report.pdf"
        return pdf if pdf.exists() else pdf.with_suffix(".md")

    def release(self, number: int) -> Path:
        """Return the tree of an imported release."""
        return self.data / "releases" / str(number)

    def linked(self) -> int | None:
        """Return the release that `current` names."""
        if not self.current.is_symlink():
            return None
        name = self.current.readlink().name
        return int(name) if name.isdigit() else None

    def link(self, number: int) -> None:
        """Make `current` name a release, at once."""
        fresh = self.current.with_name(".current.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(Path("releases") / str(number))
        os.replace(fresh, self.current)  # noqa: PTH105 - Path.replace follows nothing either
