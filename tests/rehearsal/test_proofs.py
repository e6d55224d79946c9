"""The pure parts of the proofs made in the machine: what they expect, how they judge."""

import asyncio
import base64
import errno
import os
import re
import socket
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from tests.playbooks.rendering import ROLES
from tests.rehearsal import attacks, attacks_inside, hostile, probe, secrets, seek
from tests.rehearsal.attacks import RefusedError, Work, played
from tests.rehearsal.hostile import ROOT_DOES, TRUSTED, Seen, judge, judge_root
from tests.rehearsal.segmentation import (
    CLOCK,
    FRONT,
    HERE,
    UNDECLARED,
    ZONES,
    Try,
    declared_inside,
    declared_leaving,
    entering,
    flows,
    inner_tries,
    outer_tries,
    wrong,
)

PAGE = Path(__file__).parents[2] / "docs/decisions/0056-what-a-hostile-gateway-can-do.md"
FLOWS = flows()


@pytest.mark.parametrize(
    ("user", "source", "port", "passes"),
    [
        pytest.param("haproxy", FRONT, 8080, True, id="the front, from the trusted address"),
        pytest.param("haproxy", HERE, 8080, False, id="the front, from another address"),
        pytest.param("casemate-gateway", HERE, 8080, True, id="a process of ours"),
        pytest.param("casemate-gateway", FRONT, 8080, False, id="in the place of the front"),
        pytest.param("root", FRONT, 8080, False, id="root in the place of the front"),
        pytest.param("casemate-keycloak", HERE, 5432, True, id="Keycloak and its database"),
        pytest.param("casemate-gateway", HERE, 5432, False, id="the database by TCP"),
        pytest.param("casemate-engine", HERE, 8080, False, id="who has no flow"),
        pytest.param("root", HERE, UNDECLARED, False, id="a port of no flow"),
    ],
)
def test_a_pair_passes_when_a_flow_names_it(
    user: str,
    source: str,
    port: int,
    passes: bool,  # noqa: FBT001 - a column
) -> None:
    assert declared_inside(FLOWS, user, Try("tcp", source, HERE, port)) is passes


def test_a_flow_inside_leads_to_no_other_machine() -> None:
    assert not declared_inside(FLOWS, "root", Try("tcp", "", "203.0.113.7", 443))


def test_each_inner_flow_is_tried_and_a_port_of_no_flow_too() -> None:
    tries = inner_tries(FLOWS)
    for flow in FLOWS:
        if flow.kind == "inside":
            for user in flow.users:
                assert any(declared_inside([flow], user, one) for one in tries), flow.name
    assert any(one.port == UNDECLARED for one in tries)
    assert {"tcp", "udp"} == {one.protocol for one in tries}


def test_a_zone_passes_by_its_own_flow_alone() -> None:
    passing = {
        (zone, one.port)
        for number, zone in enumerate(ZONES, 1)
        for one in outer_tries(FLOWS, number)
        if entering(FLOWS, zone, one)
    }
    declared = {(flow.zone, port) for flow in FLOWS for port in flow.ports if flow.zone}
    assert passing == declared


def test_no_zone_passes_from_a_strange_address_or_through_the_machine() -> None:
    assert not entering(FLOWS, "users", Try("tcp", "203.0.113.50", "10.77.1.2", 443))
    assert not entering(FLOWS, "users", Try("tcp", "", "10.77.2.1", 443))


@pytest.mark.parametrize(
    ("user", "protocol", "address", "port", "leaves"),
    [
        ("_chrony", "udp", CLOCK, 123, True),
        ("_chrony", "tcp", CLOCK, 123, False),
        ("_chrony", "udp", "203.0.113.7", 123, False),
        ("root", "udp", CLOCK, 123, False),
    ],
)
def test_the_clock_of_the_site_is_reached_by_its_own_user_alone(
    user: str,
    protocol: str,
    address: str,
    port: int,
    leaves: bool,  # noqa: FBT001 - a column
) -> None:
    assert declared_leaving(FLOWS, user, Try(protocol, "", address, port)) is leaves


@pytest.mark.parametrize(
    ("declared", "word", "fault"),
    [
        (True, "passed", False),
        (True, "nobody", False),
        (True, "refused", True),
        (False, "refused", False),
        (False, "silence", False),
        (False, "passed", True),
        (False, "nobody", True),
    ],
)
def test_what_is_seen_is_compared_with_what_is_declared(
    declared: bool,  # noqa: FBT001 - a column
    word: str,
    fault: bool,  # noqa: FBT001 - a column
) -> None:
    assert wrong(declared, word) is fault


def _tried(**one: object) -> str:
    return asyncio.run(probe.attempt(one))


def test_the_probe_tells_who_answers_from_who_does_not(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    assert _tried(protocol="unix", path=path) == "absent"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path)
        assert _tried(protocol="unix", path=path) == "nobody"
        made.listen()
        assert _tried(protocol="unix", path=path) == "passed"
    with socket.create_server((HERE, 0)) as server:
        port = server.getsockname()[1]
        assert _tried(protocol="tcp", source=FRONT, address=HERE, port=port) == "passed"
    assert _tried(protocol="tcp", source="", address=HERE, port=port) == "nobody"


ALL = {
    name: Seen("done" if name in TRUSTED else "refused", "") for name in attacks_inside.EVERY
}


def test_a_gateway_that_does_what_is_written_is_as_expected() -> None:
    assert judge(ALL, attacks_inside.EVERY) == []


@pytest.mark.parametrize(
    ("name", "end"),
    [
        pytest.param("read_the_log", "done", id="what should hold does not"),
        pytest.param("read_the_log", "broken", id="an attack that shows nothing"),
        pytest.param("lie_about_a_person", "refused", id="what should not hold does"),
    ],
)
def test_a_row_that_is_not_as_written_is_a_fault(name: str, end: str) -> None:
    (fault,) = judge({**ALL, name: Seen(end, "seen")}, attacks_inside.EVERY)
    assert fault.startswith(f"{name}: {end}")


def test_an_attack_that_was_not_made_is_a_fault() -> None:
    rest = {name: one for name, one in ALL.items() if name != "become_root"}
    assert judge(rest, attacks_inside.EVERY) == ["become_root: not tried"]


def test_an_attack_that_fails_for_root_too_shows_nothing() -> None:
    found = {name: Seen("done" if does else "refused", "") for name, does in ROOT_DOES.items()}
    assert judge_root(found) == []
    (fault,) = judge_root({**found, "write_the_log": Seen("refused", "absent")})
    assert fault.startswith("write_the_log by root")


def test_each_row_of_the_tables_is_an_attack_and_the_decision_tells_what_does_not_hold() -> (
    None
):
    assert TRUSTED.keys() | ROOT_DOES.keys() <= attacks_inside.EVERY.keys()
    told = re.findall(r"^\| `(\w+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert sorted(told) == sorted(TRUSTED)


def test_a_gateway_may_write_no_fact_of_the_console_or_of_the_recorder() -> None:
    others = hostile.facts_of_others()
    assert {"casemate.audit.stop.v1", "casemate.policy.change.v1"} <= set(others)
    assert "casemate.authz.denied.v1" not in others


def _raises(exc: Exception) -> Callable[[Work], str]:
    def made(_: Work) -> str:
        raise exc

    return made


def test_only_a_refusal_counts_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    closed = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    for name in list(attacks.ATTACKS):
        monkeypatch.delitem(attacks.ATTACKS, name)
    for name, exc in (
        ("a", closed),
        ("b", RefusedError("no")),
        ("c", absent),
        ("d", KeyError()),
    ):
        monkeypatch.setitem(attacks.ATTACKS, name, _raises(exc))
    monkeypatch.setitem(attacks.ATTACKS, "e", lambda _: "in")
    ends = {name: one["end"] for name, one in played({})}
    assert ends == {"a": "refused", "b": "refused", "c": "broken", "d": "broken", "e": "done"}


BODY = "QUJDREVGR0hJSktM\nTU5PUFFSU1RVVldY\nWVo=\n"
PEM = f"-----BEGIN PRIVATE KEY-----\n{BODY}-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("name", "data", "found"),
    [
        pytest.param("session-key", b"0123456789abcdef\n", [b"0123456789abcdef"], id="whole"),
        pytest.param("short", b"abc", [], id="too short to be looked for"),
        pytest.param(
            "users.pem",
            PEM.encode(),
            [b"QUJDREVGR0hJSktM", b"TU5PUFFSU1RVVldY"],
            id="lines of a key",
        ),
        pytest.param(
            "keycloak.conf",
            b"db-username=keycloak\ndb-password=aVeryLongOne\n",
            [b"aVeryLongOne"],
            id="words of a configuration",
        ),
        pytest.param(
            "accounts.json",
            b'[{"username": "camille", "password": "aVeryLongOne"}]',
            [b"aVeryLongOne"],
            id="passwords of people",
        ),
    ],
)
def test_what_is_secret_in_a_file_is_taken_out_of_it(
    name: str, data: bytes, found: list[bytes]
) -> None:
    assert secrets.parts(name, data) == found


def test_a_secret_is_looked_for_in_each_way_of_writing_it() -> None:
    secret = b"\xff" * 16
    ways = {base64.b64decode(one) for one in secrets.forms(secret)}
    assert {secret, base64.b64encode(secret), secret.hex().encode()} <= ways


def test_what_lies_across_two_pieces_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seek, "PIECE", 8)
    assert any(b"needle" in one for one in seek.pieces(BytesIO(b"hay..needle..hay")))


def test_what_is_spared_is_not_read_and_the_rest_is(tmp_path: Path) -> None:
    (tmp_path / "spared").mkdir()
    for name in ("spared/a", "b"):
        (tmp_path / name).write_text(name)
    read = dict(seek.files([str(tmp_path)], [str(tmp_path / "spared")]))
    assert read == {str(tmp_path / "b"): b"b"}


@pytest.mark.parametrize(
    ("path", "words", "faults"),
    [
        pytest.param(
            "/run/casemate/engine/socket",
            {"casemate-gateway": "passed", "casemate-engine": "passed", "haproxy": "refused"},
            0,
            id="as in the table",
        ),
        pytest.param(
            "/run/casemate/engine/socket", {"haproxy": "passed"}, 1, id="one too many"
        ),
        pytest.param(
            "/run/casemate/engine/socket", {"casemate-gateway": "refused"}, 1, id="a client"
        ),
        pytest.param("/run/other/socket", {"root": "refused"}, 1, id="in no table"),
        pytest.param("/run/systemd/notify", {"nobody": "passed"}, 0, id="of the system"),
    ],
)
def test_who_reaches_a_socket_is_compared_with_the_table(
    path: str, words: dict[str, str], faults: int
) -> None:
    assert len(secrets.wrong_sockets(path, words)) == faults


def _groups(text: str) -> set[str]:
    found = re.search(r"^SupplementaryGroups=(.*)$", text, re.MULTILINE)
    return set(found[1].split()) if found else set()


def test_the_table_of_sockets_is_what_the_groups_of_the_units_give() -> None:
    """The directory of a socket is its owner's and its clients' group's (tmpfiles)."""
    groups = {"haproxy": _groups((ROLES / "haproxy/templates/casemate.conf.j2").read_text())}
    for path in ROLES.glob("*/templates/casemate-*.service.j2"):
        groups[re.sub(r"@?\.service\.j2\Z", "", path.name)] = _groups(path.read_text())
    clients = {
        "recorder": "casemate-recorder-clients", "gateway": "casemate-gateway-clients",
        "front": "casemate-gateway-clients", "console": "casemate-console-clients",
        "reader": "casemate-reader-clients",
        "engine": "casemate-engine-clients", "vllm-embed": "casemate-engine-clients",
        "vllm-chat": "casemate-engine-clients",
    }  # fmt: skip
    for name, allowed in secrets.SOCKETS.items():
        place = name.split("/")[3]
        if place != "parser":
            joined = {unit for unit, some in groups.items() if clients[place] in some}
            owner = {"front": "haproxy"}.get(
                place, f"casemate-{place}".split("-chat")[0].removesuffix("-embed")
            )
            assert allowed == {*joined, owner}, name


def test_each_process_is_one_role_of_the_database_and_keycloak_none_by_the_socket() -> None:
    found = secrets.peers(secrets.PEERS.read_text("utf-8"))
    assert found["keycloak"] == set()
    for name in ("gateway", "console", "worker", "indexer"):
        assert found[f"casemate_{name}"] - {"root"} == {f"casemate-{name}"}
        assert [role for role, some in found.items() if f"casemate-{name}" in some] == [
            f"casemate_{name}"
        ]
    assert found["casemate_owner"] == {"root"}
