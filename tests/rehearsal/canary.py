"""What tries to leave is written down, then dropped; a planted attempt must be seen.

Two canaries: ours stands outside, at the end of the default route, and sees what leaves before
the machine has a filter; the filter of the machine records what it refuses.
"""

import json
from dataclasses import dataclass

from tests.rehearsal.machine import Machine, RehearsalError, call

TABLE = """
table inet canary {
  set seen { type inet_proto . ipv4_addr . inet_service; flags dynamic; size 65535; }
  chain arrivals {
    type filter hook prerouting priority raw; policy accept;
    iifname "w0" meta l4proto { tcp, udp } add @seen { meta l4proto . ip daddr . th dport }
    iifname "w0" drop
  }
}
"""
PLANTED = ("203.0.113.7", 443)
_PLANT = """
import socket
with socket.socket() as one:
    one.settimeout(1)
    try: one.connect(("203.0.113.7", 443))
    except OSError: pass
"""


@dataclass(slots=True)
class Canary:
    """The canary of one machine."""

    machine: Machine

    def place(self) -> None:
        """Stand where the default route ends."""
        path = self.machine.folder / "canary.nft"
        path.write_text(TABLE)
        call("ip", "netns", "exec", self.machine.outside, "nft", "-f", path)

    def seen(self) -> list[str]:
        """Return what tried to leave since the last look, and forget it."""
        ours = ("ip", "netns", "exec", self.machine.outside, "nft")
        found = _elements(call(*ours, "-j", "list", "set", "inet", "canary", "seen"))
        call(*ours, "flush", "set", "inet", "canary", "seen")
        return found + self._inside()

    def _inside(self) -> list[str]:
        """Return what the machine's own filter refused on leaving, and forget it."""
        found: list[str] = []
        for name in ("departures4", "departures6"):
            words = ("nft", "-j", "list", "set", "inet", "casemate", name)
            done = self.machine.run(*words, check=False)
            if done.returncode == 0:
                found += _elements(done.stdout)
                self.machine.run("nft", "flush", "set", "inet", "casemate", name)
        return found

    def is_empty(self) -> None:
        """Refuse that anything tried to leave since the last look.

        Raises:
            RehearsalError: Something did.
        """
        if found := self.seen():
            raise RehearsalError(f"something tried to leave: {found}")

    def control(self) -> list[str]:
        """Plant an attempt, and return what was seen of it.

        Raises:
            RehearsalError: It was not seen: the canary is dead.
        """
        self.is_empty()
        self.machine.run("python3", "-c", _PLANT)
        found = self.seen()
        if not any(PLANTED[0] in one for one in found):
            raise RehearsalError(f"the planted attempt was not seen: {found}")
        return found


def _elements(listed: str) -> list[str]:
    """Return the elements of a set, as nft prints it in JSON."""
    (found,) = (part["set"] for part in json.loads(listed)["nftables"] if "set" in part)
    elements = [one["elem"]["val"] if "elem" in one else one for one in found.get("elem", [])]
    return [" ".join(map(str, one["concat"])) for one in elements]
