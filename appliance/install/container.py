"""A bare Debian 13 in a container that boots with systemd and reaches no network.

What it writes goes into a layer of its own, over a system that is made once. Its cards have the
names and addresses of the site, and end in a network namespace where nobody is.
"""

import hashlib
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from appliance.bundle.apt import mirror
from appliance.errors import ApplianceError

# As Debian's installer leaves a machine: with the kernel's base, and libbpf (by iproute2),
# without which the first process cannot keep units from taking ports.
PACKAGES = "ca-certificates,python3,systemd,systemd-sysv,dbus,openssh-client,coreutils"
PACKAGES += ",procps,linux-base,iproute2"
TOOLS = ("systemd-nspawn", "nsenter", "ip", "mount", "umount")
SUITE = "trixie"
PLAIN = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
}
START = 120.0  # seconds
HOUR = 3600.0  # seconds
_UP = {"running", "degraded"}
_SYSTEMD = Path("/run/systemd/system")  # there when systemd runs this machine


class ContainerError(ApplianceError):
    """The local container cannot be made, or does not start."""

    code = "CM-INS-71"


@dataclass(frozen=True, slots=True)
class Card:
    """A network card of the container."""

    name: str
    addresses: tuple[str, ...] = ()  # each with its prefix


def tool(name: str) -> str:
    """Return the path of a program.

    Raises:
        ContainerError: It is not installed.
    """
    found = shutil.which(name, path=PLAIN["PATH"])
    if found is None:
        raise ContainerError(
            f"Il manque « {name} » : installez debootstrap, systemd-container et iproute2. / "
            f"“{name}” is missing: install debootstrap, systemd-container and iproute2."
        )
    return found


def call(*words: str | Path, timeout: float = 60.0) -> str:
    """Run a program of this machine, and return what it printed.

    Raises:
        ContainerError: It is not there, or failed; says what it said.
    """
    argv = [tool(str(words[0])), *map(str, words[1:])]
    done = subprocess.run(  # noqa: S603 - words of our own, no shell
        argv, capture_output=True, text=True, timeout=timeout, check=False, env=PLAIN
    )
    if done.returncode:
        raise ContainerError(f"{words[0]} : {done.stderr.strip()[-1000:]}")
    return done.stdout


def bare(tree: Path, source: str = "") -> bool:
    """Have a bare Debian 13 in a folder; tell whether it was made now.

    Args:
        tree: Folder of the system. It counts as whole once its mark, which names these
            packages, is beside it.
        source: Where debootstrap finds the packages; empty: where apt of this machine does.

    Raises:
        ContainerError: debootstrap is missing, or failed.
    """
    source = source or mirror()
    named = hashlib.sha256(PACKAGES.encode()).hexdigest()[:12]
    mark = tree.with_name(f"{tree.name}.{named}")
    if mark.exists():
        return False
    shutil.rmtree(tree, ignore_errors=True)
    tree.parent.mkdir(parents=True, exist_ok=True)
    words = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(tree)]
    call(*words, *([source] if source else []), timeout=HOUR)
    mark.touch()
    return True


@dataclass(slots=True)
class Container:
    """One machine. `folder` holds all that it writes."""

    tree: Path
    folder: Path
    name: str
    media: Sequence[Path] = ()  # at /media/1, /media/2, …
    cards: Sequence[Card] = ()
    _boot: "subprocess.Popen[bytes] | None" = field(default=None, init=False)
    _leader: int = field(default=0, init=False)

    @property
    def root(self) -> Path:
        """Return the file system of the machine."""
        return self.folder / "root"

    @property
    def outside(self) -> str:
        """Return the network namespace in which its cards end: of this folder alone."""
        folder = hashlib.sha256(str(self.folder.absolute()).encode()).hexdigest()[:8]
        return f"{self.name}-{folder}"

    def start(self) -> None:
        """Lay it over the bare system and boot it; return once it is up, its cards plugged in.

        Raises:
            ContainerError: It did not start; says what its console said.
        """
        self._lay()
        with (self.folder / "console.log").open("ab") as log:
            self._boot = subprocess.Popen(  # noqa: S603 - words of our own, no shell
                self._words(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=PLAIN
            )
        deadline = time.monotonic() + START
        while not self._is_up():
            if time.monotonic() > deadline or self._boot.poll() is not None:
                said = (self.folder / "console.log").read_text(errors="replace")
                raise ContainerError(
                    f"Le conteneur ne démarre pas. / The container does not start. "
                    f"{said[-1000:]}"
                )
            time.sleep(0.3)
        self._plug()

    def _lay(self) -> None:
        """Lay an empty layer over the bare system, named as Debian's installer names one."""
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        layers = f"lowerdir={self.tree},upperdir={self.folder}/upper,workdir={self.folder}/work"
        call("mount", "-t", "overlay", "overlay", "-o", layers, self.root)
        (self.root / "etc/hostname").write_text(f"{self.name}\n")
        (self.root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")

    def _words(self) -> list[str]:
        # Without systemd on this machine there is nobody with whom to register.
        alone = [] if _SYSTEMD.exists() else ["--register=no", "--keep-unit"]
        binds = [f"--bind-ro={path}:/media/{n}" for n, path in enumerate(self.media, 1)]
        return [
            tool("systemd-nspawn"), f"--machine={self.name}", *alone, "--private-network",
            # Units keep programs from ports and addresses by filters of the kernel.
            "--capability=CAP_BPF", "--system-call-filter=bpf",
            "--resolv-conf=off", *binds, "-D", str(self.root), "-b", "--console=pipe",
        ]  # fmt: skip

    def _is_up(self) -> bool:
        assert self._boot is not None, "started"
        children = _children(self._boot.pid)
        if not children:
            return False
        self._leader = children[0]
        return self.ask("systemctl", "is-system-running").stdout.strip() in _UP

    def _plug(self) -> None:
        """Give it its cards: what it sends ends in a namespace without a way out."""
        leader = str(self._leader)
        call("ip", "netns", "add", self.outside)
        for number, card in enumerate(self.cards):
            outer = f"out{number}"
            call(
                "ip", "netns", "exec", self.outside, "ip", "link", "add", outer, "type",
                "veth", "peer", "name", card.name, "netns", leader,
            )  # fmt: skip
            call("ip", "netns", "exec", self.outside, "ip", "link", "set", outer, "up")
            inside = ("nsenter", "-t", leader, "-n", "ip")
            for address in card.addresses:
                call(*inside, "addr", "add", address, "dev", card.name)
            call(*inside, "link", "set", card.name, "up")

    def entered(self) -> list[str]:
        """Return the words before a command that runs in the machine, as root."""
        leader = str(self._leader)
        return [tool("nsenter"), "-t", leader, "-m", "-u", "-i", "-n", "-p", "-C", "--"]

    def inside(self, *words: str) -> list[str]:
        """Return the command line that runs words in the machine, as root, plainly."""
        flat = ["/usr/bin/env", "-i", *(f"{key}={value}" for key, value in PLAIN.items())]
        return [*self.entered(), *flat, *words]

    def ask(self, *words: str, timeout: float = 60.0) -> "subprocess.CompletedProcess[str]":
        """Run words in the machine; return how it ended and what it printed."""
        return subprocess.run(  # noqa: S603 - words of our own, no shell
            self.inside(*words), capture_output=True, text=True, timeout=timeout, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def show(self, *words: str, timeout: float = HOUR) -> int:
        """Run words in the machine, seen as they are said; return the exit status."""
        done = subprocess.run(  # noqa: S603 - words of our own, no shell
            self.inside(*words), timeout=timeout, check=False, stdin=subprocess.DEVNULL
        )
        return done.returncode

    def find(self) -> bool:
        """Find the machine that another process left running in this folder."""
        for pid in self._programs():
            if children := _children(pid):
                self._leader = children[0]
                return True
        return False

    def off(self) -> None:
        """Take its power away, whoever started it; what it wrote stays in the folder.

        Raises:
            ContainerError: Its layer is still mounted: removing it would empty the bare system.
        """
        for pid in self._programs():
            _try("kill", "-9", *map(str, (*_children(pid), pid)))
        if self._boot is not None:
            self._boot.wait()
        for _ in range(20):
            if not self.root.is_mount() or _try("umount", "-l", str(self.root)):
                break
            time.sleep(0.3)
        if _try("ip", "netns", "pids", self.outside):
            _try("ip", "netns", "del", self.outside)
        if self.root.is_mount():
            raise ContainerError(f"Encore monté / still mounted: {self.root}")

    def end(self) -> None:
        """Take its power away, and remove all that it wrote.

        Raises:
            ContainerError: Its layer is still mounted; nothing is removed.
        """
        self.off()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _programs(self) -> list[int]:
        """Return the processes that run a machine of this name in this folder."""
        found: list[int] = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                argv = path.read_bytes().decode(errors="replace").split("\0")
            except OSError:  # it has just ended
                continue
            if {f"--machine={self.name}", str(self.root)} <= set(argv):
                found.append(int(path.parent.name))
        return found


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:  # it has just ended
        return []
    return [int(child) for child in text.split()]


def _try(*words: str) -> bool:
    try:
        call(*words)
    except ContainerError:
        return False
    return True
