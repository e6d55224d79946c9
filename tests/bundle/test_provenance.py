import hashlib
import json
from dataclasses import replace
from typing import Any

from appliance.bundle.plan import Part, Payload
from appliance.bundle.provenance import BUILD_TYPE, BUILDER, Origin, statement

PARTS = [
    Part(
        "wheel", "b", "1", (Payload("wheels/b", 1, "b" * 64), Payload("wheels/a", 1, "a" * 64))
    ),
    Part("deb", "c", "1", (Payload("debs/c", 1, "c" * 64),)),
]
ORIGIN = Origin("0" * 40, 1_795_000_000, "1.4.0", 7, "cpu", {"z.lock": b"z", "a.lock": b"a"})


def document(parts: list[Part] = PARTS, origin: Origin = ORIGIN) -> dict[str, Any]:
    return dict(json.loads(statement(parts, origin)))


def test_it_is_a_statement_of_in_toto_with_a_predicate_of_slsa() -> None:
    found = document()
    assert found["_type"] == "https://in-toto.io/Statement/v1"
    assert found["predicateType"] == "https://slsa.dev/provenance/v1"
    definition = found["predicate"]["buildDefinition"]
    assert definition["buildType"] == BUILD_TYPE
    assert definition["externalParameters"] == {
        "version": "1.4.0", "releaseSeq": 7, "profile": "cpu",
    }  # fmt: skip
    run = found["predicate"]["runDetails"]
    assert run == {
        "builder": {"id": BUILDER},
        "metadata": {"startedOn": "2026-11-18T11:06:40Z"},
    }


def test_its_subjects_are_all_files_of_the_release() -> None:
    assert [(s["name"], s["digest"]["sha256"]) for s in document()["subject"]] == [
        ("debs/c", "c" * 64), ("wheels/a", "a" * 64), ("wheels/b", "b" * 64),
    ]  # fmt: skip


def test_its_materials_are_the_commit_and_the_locks_by_hash() -> None:
    commit, *locks = document()["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert commit == {"name": "casemate", "digest": {"gitCommit": "0" * 40}}
    assert [lock["name"] for lock in locks] == ["a.lock", "z.lock"]
    assert locks[0]["digest"]["sha256"] == hashlib.sha256(b"a").hexdigest()


def test_the_same_build_gives_the_same_bytes_and_another_lock_others() -> None:
    assert statement(PARTS, ORIGIN) == statement(PARTS[::-1], ORIGIN)
    assert document() != document(origin=replace(ORIGIN, locks={"a.lock": b"b"}))
