import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from typer.testing import CliRunner

from appliance.bundle.commands import app, machine
from appliance.bundle.store import Store
from appliance.bundle.trust import check_self_signed, spelled
from appliance.bundle.verify import Machine
from tests.bundle.bundles import (
    RELEASE_KEY,
    TREE,
    Recipe,
    build,
    chunk_files,
    flip,
    make_root,
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "os-release").write_text('ID=debian\nVERSION_ID="13"\n')
    build(tmp_path / "bundle")
    return tmp_path / "bundle"


def run(*words: object, code: int = 0) -> dict[str, Any]:
    """Run a command with --json, and return what it answers."""
    done = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert done.exit_code == code, done.output
    return dict(json.loads(done.stdout))


def bring(bundle: Path, *words: object, code: int = 0) -> dict[str, Any]:
    top = bundle.parent
    usual = ["--root", top / "site", "--os-release", top / "os-release"]
    return run("import", bundle, *usual, *words, code=code)


SHEET = ("--fingerprint", make_root().fingerprint())


def test_verify_import_status_and_delta_from_the_command_line(
    bundle: Path, tmp_path: Path
) -> None:
    found = run("verify", bundle, "--root", tmp_path / "site", *SHEET)
    assert (found["release"], found["root_compared"]) == (7, True)
    assert run("status", "--root", tmp_path / "site")["last"] is None
    assert bring(bundle, code=4)["code"] == "CM-INS-02"
    assert bring(bundle, *SHEET)["tree"] == str(tmp_path / "site/releases/7")
    known = run("status", "--root", tmp_path / "site", "--read")
    assert (known["last"], known["releases"], known["damaged"]) == (7, {"7": True}, [])

    full = tmp_path / "full"
    build(full, Recipe(tree={**TREE, "models/tiny/config.json": b"{}\n"}, seq=8))
    pem = RELEASE_KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    (tmp_path / "key").write_bytes(pem)
    base, out = bundle / "manifest.json", tmp_path / "delta"
    made = run("delta", full, "--base", base, "--out", out, "--key", tmp_path / "key")
    assert (made["chunks"], made["bytes"]) == (1, 3)
    assert bring(out)["bytes_read"] == 3


def test_a_second_verification_reads_nothing_again(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    words = ("verify", bundle, "--root", tmp_path / "site")
    assert run(*words)["known_before"] == 0
    assert run(*words)["known_before"] == len(chunk_files(bundle)) + 5


def test_people_read_french_then_english(bundle: Path, tmp_path: Path) -> None:
    words = ["verify", str(bundle), "--root", str(tmp_path / "site")]
    said = CliRunner().invoke(app, words).stdout
    assert said.index("BON : complète et signée") < said.index("GOOD: complete and signed")
    assert "comparez l’empreinte" in said
    flip(chunk_files(bundle)[0])
    done = CliRunner().invoke(app, words)
    assert "CM-INS-11 Morceau absent ou abîmé" in done.stderr
    assert "Medium 1/1" in done.stderr


def test_a_damaged_store_is_named_and_repaired_from_the_medium(
    bundle: Path, tmp_path: Path
) -> None:
    bring(bundle, *SHEET)
    store = Store(tmp_path / "site")
    manifest = store.manifest(store.state().releases["7"])
    victim = next(file for file in manifest.tree() if file.path == "playbooks/site.yml")
    store.blob(victim).chmod(0o644)
    flip(store.blob(victim), 1)
    assert run("status", "--root", tmp_path / "site", "--repair")["damaged"] == [victim.path]
    empty = tmp_path / "empty"
    empty.mkdir()
    for path in bundle.iterdir():
        if path.is_file():
            (empty / path.name).write_bytes(path.read_bytes())
    to_bring = run("status", empty, "--root", tmp_path / "site")["to_bring"]
    assert [each["files"] for each in to_bring] == [[victim.path]]
    assert bring(bundle)["files_new"] == 1
    assert run("status", "--root", tmp_path / "site", "--read")["damaged"] == []
    tree = tmp_path / "site/releases/7"
    assert (tree / victim.path).read_bytes() == TREE[victim.path]


def test_status_says_it_for_people(bundle: Path, tmp_path: Path) -> None:
    words = ["status", "--root", str(tmp_path / "site")]
    assert "Aucune livraison reçue" in CliRunner().invoke(app, words).stdout
    bring(bundle, *SHEET)
    said = CliRunner().invoke(app, words).stdout
    assert "Dernière livraison : n° 7" in said
    assert "7 : entière / whole" in said


def test_a_bundle_is_spread_and_verified_from_its_media(bundle: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    size = (1 << 20) + 40_000
    run("spread", bundle, "--to", one, "--to", two, "--size", size)
    assert run("verify", one, two, "--root", tmp_path / "site")["ok"]
    assert (
        run("spread", bundle, "--to", tmp_path / "three", "--size", 5000, code=1)["code"]
        == "CM-INS-09"
    )


def test_a_root_signed_by_stock_ssh_keygen_is_accepted(tmp_path: Path) -> None:
    names = ("Root A", "root_b", "release")
    for name in names:
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(words, check=True)
    path, public = tmp_path / "root.json", [f"{tmp_path / name}.pub" for name in names]
    roles = ["--root-key", public[0], "--root-key", public[1], "--release-key", public[2]]
    made = run("root", path, *roles)
    for name in names[:2]:
        command = [
            "ssh-keygen",
            "-Y",
            "sign",
            "-n",
            "root@casemate",
            "-f",
            str(tmp_path / name),
        ]
        done = subprocess.run(
            command, input=path.read_bytes(), capture_output=True, check=True
        )  # fmt: skip
        (tmp_path / f"root.json.sig.{name}").write_bytes(done.stdout)
    signatures = [each.read_bytes() for each in tmp_path.glob("root.json.sig.*")]
    root = check_self_signed(path.read_bytes(), signatures)
    assert (root.fingerprint(), sorted(root.keys)) == (
        made["fingerprint"], ["release", "root-a", "root-b"]
    )  # fmt: skip
    said = CliRunner().invoke(app, ["root", str(path), *roles]).stdout
    assert spelled(root.fingerprint()) in said


def test_an_import_on_another_system_is_refused(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text("ID=ubuntu\nVERSION_ID='24.04'\n")
    assert bring(bundle, *SHEET, code=1)["code"] == "CM-INS-08"


def test_the_machine_is_known_by_its_os_release(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text('# x\nID=debian\n\nVERSION_ID="13"\nNAME="a=b"\n')
    found = machine(tmp_path / "os-release")
    assert (found.os, found.os_version) == ("debian", "13")
    (tmp_path / "os-release").unlink()
    assert machine(tmp_path / "os-release") == Machine("?", "?", found.arch)


def test_wrong_usage_is_told_apart(bundle: Path) -> None:
    for words in (["verify"], ["delta", str(bundle)], ["import", "--nothing"]):
        assert CliRunner().invoke(app, words).exit_code == 2
