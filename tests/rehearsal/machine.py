"""A bare Debian 13 that boots with systemd and has no network: debootstrap, overlay, nspawn.

Two veth pairs are its only cards: `users0`, where a person's browser is, and `wan0`, whose
default route ends in the canary. Their other ends are in a network namespace of the rehearsal.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from appliance.install.container import Container

ADDRESS, PERSON = "198.51.100.2", "198.51.100.1"  # machine, browser
LEAVING, CANARY = "192.0.2.2", "192.0.2.1"  # machine, where every route ends
RESOLVER = "192.0.2.53"  # fake: a question to it is an attempt, and is seen


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


@dataclass(slots=True)
class Machine(Container):
    """One machine of the rehearsal: it has a resolver, and a route that ends in the canary."""

    @property
    def seen_from_here(self) -> str:
        """Return where its files are seen as it sees them, /run with its sockets included."""
        return f"/proc/{self._leader}/root"

    def _lay(self) -> None:
        Container._lay(self)
        resolver = self.root / "etc/resolv.conf"
        resolver.unlink(missing_ok=True)
        resolver.write_text(f"nameserver {RESOLVER}\n")

    def _plug(self) -> None:
        """Give the machine its two cards; all that it sends ends in our namespace."""
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
        done = self.ask(*argv, timeout=timeout)
        if check and done.returncode:
            said = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            raise RehearsalError(f"{' '.join(argv)}: {done.returncode}\n{said}")
        return done

    def attach(self) -> None:
        """Find the machine that another rehearsal left running.

        Raises:
            RehearsalError: None runs in this folder.
        """
        if not self.find():
            raise RehearsalError(f"no machine runs in {self.root}")
