"""Where a bundle comes from: an in-toto Statement with a SLSA provenance predicate.

Subjects are all files that the build put into the release tree; the materials are the commit
and the locks. It names no address: locks hold none. It travels inside the bundle, under the
manifest's signature. Format: https://in-toto.io/Statement/v1, https://slsa.dev/provenance/v1.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from appliance.bundle.plan import Part

BUILD_TYPE = "urn:casemate:bundle-build:v1"
BUILDER = "urn:casemate:build-engineer"


@dataclass(frozen=True, slots=True)
class Origin:
    """What a build was given."""

    commit: str  # hexadecimal
    created: int  # seconds since 1970: the commit's
    version: str
    release_seq: int
    profile: str
    locks: Mapping[str, bytes]  # by their name in the repository


def statement(parts: Iterable[Part], origin: Origin) -> bytes:
    """Return the statement."""
    subjects = sorted((file.path, file.sha256) for part in parts for file in part.files)
    time = datetime.fromtimestamp(origin.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": path, "digest": {"sha256": digest}} for path, digest in subjects],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "version": origin.version, "releaseSeq": origin.release_seq,
                    "profile": origin.profile,
                },
                "resolvedDependencies": _materials(origin),
            },
            "runDetails": {"builder": {"id": BUILDER}, "metadata": {"startedOn": time}},
        },
    }  # fmt: skip
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def _materials(origin: Origin) -> list[dict[str, Any]]:
    commit: dict[str, Any] = {"name": "casemate", "digest": {"gitCommit": origin.commit}}
    locks = [
        {"name": name, "digest": {"sha256": hashlib.sha256(data).hexdigest()}}
        for name, data in sorted(origin.locks.items())
    ]
    return [commit, *locks]
