"""Micro-segmentation: each declared flow passes, every other pair of user and port is refused.

The declaration is the table of flows of the role nftables. Inside, a program tries as every
account of the machine; from each zone, a network namespace does. The table is shown to be able
to fail: a rule too many is seen, and a listener that nobody declared fails the verification.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.rehearsal.inside import User, entered, listening, outside, play, probe, users
from tests.rehearsal.machine import ADDRESS, Machine, RehearsalError, call

VARIABLES = Path(__file__).parents[2] / "playbooks/roles/nftables/vars/main.yml"
UNDECLARED = 18999  # a port that no flow names
HERE, FRONT = "127.0.0.1", "127.0.0.2"
PLACES = ((HERE, HERE), (FRONT, HERE), ("", "::1"), ("", ADDRESS))  # (source, address)
LOCAL = {address for _, address in PLACES}
ELSEWHERE = (("tcp", "203.0.113.7", 443), ("udp", "192.0.2.53", 53), ("udp", "192.0.2.9", 123))
OPEN = {"passed", "nobody"}  # the filter let it through
CLOCK = "10.77.1.1"  # of the site, for the time of the proof
SILENT = ("casemate-recorder", "casemate-engine", "casemate-vllm@embed")  # no network at all
ZONES = ("users", "admin", "logs", "gpu", "backup")


@dataclass(frozen=True, slots=True)
class Flow:
    """A declared flow, as the role has it."""

    name: str
    kind: str
    protocol: str
    ports: tuple[int, ...]
    users: tuple[str, ...] = ()
    zone: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt: from where, to where."""

    protocol: str
    source: str
    address: str
    port: int

    def job(self) -> dict[str, Any]:
        """Return it as the probe takes it."""
        return {
            "protocol": self.protocol, "source": self.source, "address": self.address,
            "port": self.port,
        }  # fmt: skip


def flows(path: Path = VARIABLES) -> list[Flow]:
    """Read the declared flows."""
    listed = yaml.safe_load(path.read_text("utf-8"))["__nftables_flows"]
    return [
        Flow(
            one["name"], one["kind"], one["protocol"], tuple(one["ports"]),
            tuple(one.get("users", ())), one.get("zone", ""), one.get("source", ""),
        )
        for one in listed
    ]  # fmt: skip


def declared_inside(found: Iterable[Flow], user: str, one: Try) -> bool:
    """Say whether a flow lets a user of the machine make this attempt inside it."""
    return any(
        flow.kind == "inside"
        and one.address in LOCAL
        and user in flow.users
        and one.protocol == flow.protocol
        and one.port in flow.ports
        and flow.source in {"", one.source}
        for flow in found
    )


def declared_entering(found: Iterable[Flow], zone: str, one: Try) -> bool:
    """Say whether a flow lets a zone make this attempt."""
    return any(
        flow.kind == "enter"
        and flow.zone == zone
        and one.protocol == flow.protocol
        and one.port in flow.ports
        for flow in found
    )


def declared_leaving(found: Iterable[Flow], user: str, one: Try) -> bool:
    """Say whether a flow lets a user of the machine reach the clock of the site."""
    return any(
        flow.kind == "leave"
        and user in flow.users
        and one.address == CLOCK
        and one.protocol == flow.protocol
        and one.port in flow.ports
        for flow in found
    )


def inner_tries(found: Iterable[Flow]) -> list[Try]:
    """Return what each user tries: every declared port and one that is not, everywhere."""
    ports = {port for flow in found if flow.kind != "leave" for port in flow.ports}
    inside = [
        Try("tcp", source, address, port)
        for port in sorted({*ports, UNDECLARED})
        for source, address in PLACES
    ]
    return [*inside, *(Try(protocol, "", to, port) for protocol, to, port in ELSEWHERE)]


def wrong(expected: bool, word: str) -> bool:  # noqa: FBT001 - it is the table's column
    """Say whether what was seen is not what is declared."""
    return expected != (word in OPEN)


def inside(box: Machine, found: Sequence[Flow], people: Sequence[User]) -> dict[str, Any]:
    """Try as each user; return what is wrong, and the table of what passes."""
    tries = inner_tries(found)
    with listening(entered(box), [("tcp", HERE, UNDECLARED)]):
        seen = probe(entered(box), [one.job([t.job() for t in tries]) for one in people])
    table: dict[str, list[str]] = {}
    faults: list[str] = []
    for person, words in zip(people, seen, strict=True):
        for one, word in zip(tries, words, strict=True):
            if wrong(declared_inside(found, person.name, one), word):
                faults.append(f"{person.name} {one} {word}")
            if word == "passed":
                table.setdefault(person.name, []).append(
                    f"{one.source or one.address}:{one.port}"
                )
    return {"pairs": len(people) * len(tries), "passes": table, "faults": faults}


@contextmanager
def zones(box: Machine) -> Iterator[dict[str, str]]:
    """Give the machine a card in each of five networks; yield the namespace of each."""
    spaces = {zone: f"{box.name}-{zone}" for zone in ZONES}
    try:
        for number, (zone, space) in enumerate(spaces.items(), 1):
            call("ip", "netns", "add", space)
            net = f"10.77.{number}"
            card = ("type", "veth", "peer", "name", f"{zone}1", "netns", str(box._leader))
            call(*outside(space), "ip", "link", "add", "out", *card)
            for words in (
                ("addr", "add", f"{net}.1/24", "dev", "out"),
                ("addr", "add", "203.0.113.50/32", "dev", "out"),  # of no zone
                ("link", "set", "out", "up"),
                ("link", "set", "lo", "up"),
                ("route", "add", "default", "via", f"{net}.2"),
            ):
                call(*outside(space), "ip", *words)
            box.run("ip", "addr", "add", f"{net}.2/24", "dev", f"{zone}1")
            box.run("ip", "link", "set", f"{zone}1", "up")
        yield spaces
    finally:
        for space in spaces.values():
            call("ip", "netns", "del", space)


def variables() -> dict[str, Any]:
    """Return the zones of those five networks, as the inventory has them."""
    return {
        zone: {"interface": f"{zone}1", "sources": [f"10.77.{number}.0/24"]}
        for number, zone in enumerate(ZONES, 1)
    }


def outer_tries(found: Iterable[Flow], number: int) -> list[Try]:
    """Return what a zone tries: each port on its card and on another, and through it."""
    ports = sorted({port for flow in found for port in flow.ports} | {22, UNDECLARED})
    here, other = f"10.77.{number}.2", f"10.77.{number % len(ZONES) + 1}"
    tries = [
        Try("tcp", "", address, port) for address in (here, f"{other}.2") for port in ports
    ]
    tries += [Try("udp", "", here, port) for port in (53, 123, UNDECLARED)]
    tries += [Try("tcp", "203.0.113.50", here, port) for port in ports]  # of no zone
    return [*tries, Try("tcp", "", f"{other}.1", UNDECLARED)]  # through the machine


def entering(found: Sequence[Flow], zone: str, one: Try) -> bool:
    """Say whether a zone may: never from an address of no zone, nor through the machine."""
    return (
        not one.source
        and not one.address.endswith(".1")
        and declared_entering(found, zone, one)
    )


def from_zones(box: Machine, found: Sequence[Flow], spaces: dict[str, str]) -> dict[str, Any]:
    """Try from each zone, against listeners on every port; return what is wrong."""
    faults: list[str] = []
    table: dict[str, list[str]] = {}
    pairs = 0
    ports = {port for flow in found for port in flow.ports} | {22, UNDECLARED}
    cards = [f"10.77.{number}.2" for number in range(1, len(ZONES) + 1)]
    held = [("tcp", card, port) for card in cards for port in sorted(ports)]
    with listening(entered(box), held):
        for number, (zone, space) in enumerate(spaces.items(), 1):
            tries = outer_tries(found, number)
            (words,) = probe(outside(space), [{"attempts": [one.job() for one in tries]}])
            pairs += len(tries)
            for one, word in zip(tries, words, strict=True):
                if wrong(entering(found, zone, one), word):
                    faults.append(f"{zone} {one} {word}")
                if word == "passed":
                    table.setdefault(zone, []).append(f"{one.address}:{one.port}")
    return {"pairs": pairs, "passes": table, "faults": faults}


def leaving(box: Machine, found: Sequence[Flow], people: Sequence[User]) -> dict[str, Any]:
    """Try to leave as each user, also to the clock, where nothing listens."""
    tries = [Try("udp", "", CLOCK, port) for port in (53, 123, 443)]
    tries += [Try("tcp", "", CLOCK, port) for port in (123, 443)]
    tries += [Try("udp", "", "10.77.2.1", 123)]
    seen = probe(entered(box), [one.job([t.job() for t in tries]) for one in people])
    table: dict[str, list[str]] = {}
    faults: list[str] = []
    for person, words in zip(people, seen, strict=True):
        for one, word in zip(tries, words, strict=True):
            if wrong(declared_leaving(found, person.name, one), word):
                faults.append(f"{person.name} {one} {word}")
            if word in OPEN:
                table.setdefault(person.name, []).append(f"{one.address}:{one.port}")
    return {"pairs": len(people) * len(tries), "passes": table, "faults": faults}


def silent(box: Machine) -> dict[str, Any]:
    """Show that units without a network have a loopback of their own, and nothing else.

    Raises:
        RehearsalError: One has a card.
    """
    seen: dict[str, Any] = {}
    for unit in SILENT:
        pid = box.run("systemctl", "show", "-P", "MainPID", f"{unit}.service").stdout.strip()
        listed = box.run("nsenter", "-t", pid, "-n", "ip", "-json", "link").stdout
        seen[unit] = [card["ifname"] for card in json.loads(listed)]
    if any(cards != ["lo"] for cards in seen.values()):
        raise RehearsalError(f"units that need no network have one: {seen}")
    return seen


def listeners(box: Machine) -> dict[str, Any]:
    """Show that a listener that no flow declares fails the verification, and only that.

    Raises:
        RehearsalError: It was not seen, or the machine is refused without it.
    """
    words = ("verify.yml", "--tags", "nftables")
    seen: dict[str, Any] = {}
    for protocol in ("tcp", "udp"):
        with listening(entered(box), [(protocol, HERE, UNDECLARED)]):
            done = play(box, *words, check=False)
        if done.returncode == 0 or f"{protocol} {UNDECLARED}" not in done.stdout:
            raise RehearsalError(f"an undeclared listener was not seen: {done.stdout[-2000:]}")
        seen[f"undeclared {protocol}"] = "refused"
    play(box, *words)
    return seen


def control(box: Machine, found: Sequence[Flow], person: User) -> dict[str, Any]:
    """Show that the table can fail: one rule too many is a fault, then none again.

    Raises:
        RehearsalError: It was not seen.
    """
    rule = ("meta", "skuid", person.name, "tcp", "dport", "8080", "accept")
    box.run("nft", "insert", "rule", "inet", "casemate", "inside", *rule)
    try:
        faults = inside(box, found, [person])["faults"]
    finally:
        box.run("systemctl", "reload", "nftables.service")
    if not faults or inside(box, found, [person])["faults"]:
        raise RehearsalError("a rule too many was not seen")
    return {"one rule too many": f"{len(faults)} pairs seen"}


def segmentation(box: Machine) -> dict[str, Any]:
    """Show the whole of it; the machine is then as before.

    Raises:
        RehearsalError: A pair passes that no flow declares, or a declared one is refused.
    """
    found, people = flows(), users(box)
    table: dict[str, Any] = {"inside": inside(box, found, list(people.values()))}
    with zones(box) as spaces:
        try:
            opened = {"casemate_zones": variables(), "casemate_time_servers": [CLOCK]}
            play(
                box,
                "site.yml",
                "--tags",
                "nftables",
                "-e",
                yaml.safe_dump(opened, default_flow_style=True, width=10_000).strip(),
            )
            table["zones"] = from_zones(box, found, spaces)
            table["leaving"] = leaving(box, found, list(people.values()))
        finally:
            play(box, "site.yml", "--tags", "nftables")
    if faults := [fault for part in table.values() for fault in part["faults"]]:
        raise RehearsalError(f"{len(faults)} pairs are not as declared: {faults[:20]}")
    table["without a network"] = silent(box)
    table["control"] = control(box, found, people["casemate-engine"])
    table["listeners"] = listeners(box)
    for part in ("strangers", "departures4", "departures6"):
        box.run("nft", "flush", "set", "inet", "casemate", part)
    return table
