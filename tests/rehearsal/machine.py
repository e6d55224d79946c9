"""A bare Debian 13 that boots with systemd and has no network: debootstrap, overlay, nspawn.

Two veth pairs are its only cards: `users0`, where a person's browser is, and `wan0`, whose
default route ends in the canary. Their other ends are in a network namespace of the rehearsal.
"""

import hashlib
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = "ca-certificates,python3,systemd,systemd-sysv,dbus,openssh-client,coreutils"
# As Debian's installer leaves them: the kernel's base, and libbpf (by iproute2), without which
# the first process cannot keep units from taking ports.
PACKAGES += ",procps,linux-base,iproute2"
START = 60.0  # seconds
ADDRESS, PERSON = "198.51.100.2", "198.51.100.1"  # machine, browser
LEAVING, CANARY = "192.0.2.2", "192.0.2.1"  # machine, where every route ends
RESOLVER = "192.0.2.53"  # fake: a question to it is an attempt, and is seen
PLAIN = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
}


class RehearsalError(Exception):
    """A step did not do what it had to; the message says what was seen."""


def call(*argv: str | Path, timeout: float = 120) -> str:
    """Run a command of the host, and return what it printed.

    Raises:
        RehearsalError: It failed.
    """
    words = [str(word) for word in argv]
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise RehearsalError(f"{' '.join(words)}: {done.returncode} {done.stderr[-2000:]}")
    return done.stdout


def base(cache: Path) -> bool:
    """Make a bare Debian 13 in `cache`, once; tell whether it had to be made."""
    named = hashlib.sha256(PACKAGES.encode()).hexdigest()[:12]
    tree, whole = cache / "trixie", cache / f"trixie.{named}"
    if missing := not whole.exists():
        shutil.rmtree(tree, ignore_errors=True)
        cache.mkdir(parents=True, exist_ok=True)
        call(
            "debootstrap", "--variant=minbase", f"--include={PACKAGES}", "trixie", tree,
            timeout=900,
        )  # fmt: skip
        whole.touch()
    return missing


@dataclass(slots=True)
class Machine:
    """One machine: what it writes goes into `folder`, and is thrown away with it."""

    tree: Path
    folder: Path
    name: str
    media: Sequence[Path] = ()
    _boot: "subprocess.Popen[bytes] | None" = field(default=None, init=False)
    _leader: int = field(default=0, init=False)

    @property
    def root(self) -> Path:
        """Return the file system of the machine."""
        return self.folder / "root"

    @property
    def outside(self) -> str:
        """Return the network namespace of the browser and the canary: of this folder alone."""
        folder = hashlib.sha256(str(self.folder.absolute()).encode()).hexdigest()[:8]
        return f"{self.name}-{folder}"

    @property
    def seen_from_here(self) -> str:
        """Return where its files are seen as it sees them, /run with its sockets included."""
        return f"/proc/{self._leader}/root"

    def make(self) -> None:
        """Lay an empty layer over the bare system."""
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        layers = f"lowerdir={self.tree},upperdir={self.folder}/upper,workdir={self.folder}/work"
        call("mount", "-t", "overlay", "overlay", "-o", layers, self.root)
        # As Debian's installer leaves it: the machine knows its own name, and has a resolver.
        (self.root / "etc/hostname").write_text(f"{self.name}\n")
        (self.root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        resolver = self.root / "etc/resolv.conf"
        resolver.unlink(missing_ok=True)
        resolver.write_text(f"nameserver {RESOLVER}\n")

    def boot(self) -> None:
        """Start systemd in it; return once it is up, with its cards plugged in."""
        binds = [f"--bind-ro={m}:/media/{n}" for n, m in enumerate(self.media, 1)]
        argv = [
            "systemd-nspawn", f"--machine={self.name}", "--register=no", "--keep-unit",
            "--private-network", "--resolv-conf=off", *binds,
            # Units keep programs from ports and addresses by filters of the kernel.
            "--capability=CAP_BPF", "--system-call-filter=bpf",
            "-D", str(self.root), "-b", "--console=pipe",
        ]  # fmt: skip
        with (self.folder / "console.log").open("ab") as log:
            self._boot = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START
        while not self._is_up():
            if time.monotonic() > deadline or self._boot.poll() is not None:
                raise RehearsalError((self.folder / "console.log").read_text(errors="replace"))
            time.sleep(0.3)
        self._plug()

    def _is_up(self) -> bool:
        assert self._boot is not None
        children = Path(f"/proc/{self._boot.pid}/task/{self._boot.pid}/children").read_text()
        if not children:
            return False
        self._leader = int(children.split()[0])
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in {"running", "degraded"}

    def _plug(self) -> None:
        """Give the machine its two cards; all that it sends ends in our namespace."""
        subprocess.run(["ip", "netns", "del", self.outside], capture_output=True, check=False)
        call("ip", "netns", "add", self.outside)
        ours = ("ip", "netns", "exec", self.outside)
        cards = (("users0", "u0", ADDRESS, PERSON), ("wan0", "w0", LEAVING, CANARY))
        for inner, outer, inside, out in cards:
            leader = str(self._leader)
            pair = f"ip link add {outer} type veth peer name {inner} netns {leader}"
            call(*ours, *pair.split())
            call(*ours, "ip", "addr", "add", f"{out}/24", "dev", outer)
            call(*ours, "ip", "link", "set", outer, "up")
            theirs = ("nsenter", "-t", leader, "-n", "ip")
            call(*theirs, "addr", "add", f"{inside}/24", "dev", inner)
            call(*theirs, "link", "set", inner, "up")
        call(*ours, "ip", "link", "set", "lo", "up")
        call(*f"nsenter -t {self._leader} -n ip route add default via {CANARY}".split())

    def run(
        self, *argv: str, timeout: float = 120, check: bool = True
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command in the machine, as root, with a plain environment.

        Raises:
            RehearsalError: It failed, and `check` was asked for.
        """
        enter = ["nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-n", "-p", "-C", "--"]
        flat = ["env", "-i", *(f"{k}={v}" for k, v in PLAIN.items()), *argv]
        done = subprocess.run(
            [*enter, *flat], capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and done.returncode:
            said = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            raise RehearsalError(f"{' '.join(argv)}: {done.returncode}\n{said}")
        return done

    def attach(self) -> None:
        """Find the machine that another rehearsal left running.

        Raises:
            RehearsalError: None runs in this folder.
        """
        for pid in _programs(f"--machine={self.name}", str(self.root)):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            if children:
                self._leader = int(children[0])
                return
        raise RehearsalError(f"no machine runs in {self.root}")

    def kill(self) -> None:
        """Take its power away, and its layer off; what it wrote stays in the folder."""
        for pid in _programs(f"--machine={self.name}", str(self.root)):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            words = ["kill", "-9", str(pid), *children]
            subprocess.run(words, capture_output=True, check=False)
        if self._boot is not None:
            self._boot.wait()
        time.sleep(0.5)
        while self.root.is_mount():  # or a later removal of the folder would empty it
            call("umount", "-l", self.root)
        subprocess.run(["ip", "netns", "del", self.outside], capture_output=True, check=False)


def _programs(*words: str) -> list[int]:
    """Return the processes of systemd-nspawn whose command holds these words."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            argv = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it has just ended
            continue
        if argv[0].endswith("systemd-nspawn") and set(words) <= set(argv):
            found.append(int(path.parent.name))
    return found
