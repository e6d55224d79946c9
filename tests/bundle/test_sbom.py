import json
import re
import uuid
from typing import Any

from appliance.bundle.plan import Part, Payload
from appliance.bundle.sbom import bill, component, licences, purl

CREATED = 1_795_000_000
WHEEL = Part("wheel", "one", "1.0+cpu", (Payload("wheels/a/one.whl", 3, "a" * 64),), "MIT")
DEB = Part("deb", "libx", "2:1.0~rc1", (Payload("debs/libx.deb", 4, "b" * 64),))
BINARY = Part(
    "binary", "keycloak", "26", (Payload("binaries/k", 5, "c" * 64),), "Apache-2.0",
    "org.example:keycloak-dist:26:tar.gz",
)  # fmt: skip
DRIVER = Part("binary", "gpu-driver", "580", (Payload("binaries/d", 5, "e" * 64),), "NVIDIA")
MODEL = Part(
    "model", "tiny", "rev1",
    (Payload("models/tiny/b", 1, "d" * 64), Payload("models/tiny/a", 2, "f" * 64)), "MIT",
    "9" * 64,
)  # fmt: skip
ALL = [MODEL, DRIVER, BINARY, DEB, WHEEL]


def document(parts: list[Part]) -> dict[str, Any]:
    return dict(json.loads(bill(parts, "1.4.0", CREATED)))


def test_the_fields_that_cyclonedx_requires_are_there() -> None:
    found = document(ALL)
    assert (found["bomFormat"], found["specVersion"], found["version"]) == (
        "CycloneDX",
        "1.6",
        1,
    )
    serial = uuid.UUID(found["serialNumber"].removeprefix("urn:uuid:"))
    assert found["serialNumber"] == f"urn:uuid:{serial}"
    assert found["metadata"]["timestamp"] == "2026-11-18T11:06:40Z"
    assert found["metadata"]["component"]["version"] == "1.4.0"
    for part in found["components"]:
        assert {"type", "name", "version", "bom-ref", "components"} <= part.keys()
        for file in part["components"]:
            assert file["type"] == "file"
            assert re.fullmatch("[0-9a-f]{64}", file["hashes"][0]["content"])


def test_every_reference_is_to_one_component() -> None:
    found = document(ALL)
    references = [
        c["bom-ref"] for part in found["components"] for c in (part, *part["components"])
    ]
    assert len(references) == len(set(references)) == 11
    (root,) = found["dependencies"]
    assert root["ref"] == found["metadata"]["component"]["bom-ref"]
    assert root["dependsOn"] == [part["bom-ref"] for part in found["components"]]


def test_a_package_address_says_where_a_part_is_known() -> None:
    assert purl(WHEEL) == "pkg:pypi/one@1.0%2Bcpu"
    assert purl(DEB) == "pkg:deb/debian/libx@2%3A1.0~rc1?arch=amd64&distro=debian-13"
    assert purl(BINARY) == "pkg:maven/org.example/keycloak-dist@26"
    assert purl(DRIVER) == purl(MODEL) == ""
    assert "purl" not in component(MODEL)


def test_a_model_is_one_with_its_digest_and_revision() -> None:
    found = component(MODEL)
    assert found["type"] == "machine-learning-model"
    assert found["hashes"] == [{"alg": "SHA-256", "content": "9" * 64}]
    assert found["properties"] == [{"name": "casemate:revision", "value": "rev1"}]
    assert [file["name"] for file in found["components"]] == ["models/tiny/a", "models/tiny/b"]


def test_a_part_without_a_declared_licence_claims_none() -> None:
    assert "licenses" not in component(DEB)
    assert component(WHEEL)["licenses"] == [{"license": {"name": "MIT"}}]


def test_the_bytes_depend_on_contents_and_not_on_their_order() -> None:
    assert bill(ALL, "1.4.0", CREATED) == bill(ALL[::-1], "1.4.0", CREATED)
    assert document(ALL)["serialNumber"] != document(ALL[1:])["serialNumber"]


def test_the_list_of_licences_has_a_line_for_each_part() -> None:
    lines = licences(ALL).decode().splitlines()
    assert lines[0].split("\t") == ["kind", "name", "version", "licence"]
    assert lines[1] == "binary\tgpu-driver\t580\tNVIDIA"
    assert lines[3] == "deb\tlibx\t2:1.0~rc1\t-"
    assert len(lines) == 6
