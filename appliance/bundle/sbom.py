"""The bill of materials of a bundle: CycloneDX 1.6, with each file and each model.

Made from the parts that were built, so it cannot list what is not there. Nothing in it depends
on the moment or the machine: the serial number is drawn from the contents. What only a
publisher says of a part (licence, version) stands as declared; hashes were computed here.
Format: https://cyclonedx.org/docs/1.6/json/.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from appliance.bundle.plan import Part

_SPACE = uuid.UUID("6f2f2a52-6a3f-5c39-9b57-0d8f7a5a5f11")  # drawn once, for serial numbers
_TYPES = {
    "model": "machine-learning-model",
    "binary": "application",
    "playbooks": "application",
}


def purl(part: Part) -> str:
    """Return the package URL of a part, `""` when its kind has none."""
    version = quote(part.version, safe="")
    match part.kind:
        case "wheel":
            return f"pkg:pypi/{quote(part.name)}@{version}"
        case "deb":
            return f"pkg:deb/debian/{quote(part.name)}@{version}?arch=amd64&distro=debian-13"
        case "binary" if ":" in part.source:
            group, artifact = part.source.split(":")[:2]
            return f"pkg:maven/{group}/{artifact}@{version}"
        case _:
            return ""


def component(part: Part) -> dict[str, Any]:
    """Return a part as a component, its files inside."""
    files = [
        {
            "type": "file", "bom-ref": f"file:{file.path}", "name": file.path,
            "hashes": [{"alg": "SHA-256", "content": file.sha256}],
            "properties": [{"name": "casemate:size", "value": str(file.size)}],
        }
        for file in sorted(part.files, key=lambda f: f.path)
    ]  # fmt: skip
    found: dict[str, Any] = {
        "type": _TYPES.get(part.kind, "library"),
        "bom-ref": f"{part.kind}:{part.name}@{part.version}",
        "name": part.name, "version": part.version, "components": files,
    }  # fmt: skip
    if address := purl(part):
        found["purl"] = address
    if part.licence:
        found["licenses"] = [{"license": {"name": part.licence}}]
    if part.kind == "model":
        found["hashes"] = [{"alg": "SHA-256", "content": part.source}]
        found["properties"] = [{"name": "casemate:revision", "value": part.version}]
    return found


def bill(parts: Iterable[Part], version: str, created: int) -> bytes:
    """Return the bill of materials. `created` in seconds since 1970."""
    components = [
        component(p) for p in sorted(parts, key=lambda p: (p.kind, p.name, p.version))
    ]
    content = json.dumps(components, sort_keys=True).encode()
    serial = uuid.uuid5(_SPACE, hashlib.sha256(content).hexdigest())
    document = {
        "bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application", "bom-ref": "casemate", "name": "casemate",
                "version": version,
            },
        },
        "components": components,
        "dependencies": [{"ref": "casemate", "dependsOn": [c["bom-ref"] for c in components]}],
    }  # fmt: skip
    return (
        json.dumps(document, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
        + b"\n"
    )


def licences(parts: Iterable[Part]) -> bytes:
    """Return the list of licences: one line per part, as its publisher declares it.

    The texts are where each publisher puts them: in the wheels' dist-info folders, under
    usr/share/doc of the packages, beside the weights.
    """
    lines = [
        f"{part.kind}\t{part.name}\t{part.version}\t{part.licence or '-'}\n"
        for part in sorted(parts, key=lambda p: (p.kind, p.name, p.version))
    ]
    return "".join(["kind\tname\tversion\tlicence\n", *lines]).encode()
