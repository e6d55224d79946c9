import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.bundle.build import Locks
from appliance.bundle.build_commands import folders, model, revocations, uncommitted
from appliance.bundle.commands import app
from appliance.bundle.manifest import Manifest, Revocation
from appliance.bundle.models import decode
from appliance.bundle.refusal import BundleError
from appliance.bundle.sources import Sources
from appliance.bundle.sshsig import PublicKey
from tests.bundle.bundles import OTHER_KEY
from tests.bundle.payloads import model_folder
from tests.bundle.workplace import KEYCLOAK, WEIGHTS, Workplace


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path / "place").make()


def run(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*map(str, words)])
    if isinstance(done.exception, BundleError):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout


def usual(place: Workplace) -> list[object]:
    return ["--repository", place.repository, "--model", f"tiny={place.top / 'tiny'}"]


def build(place: Workplace, *words: object) -> str:
    signed = ["--root", place.root, "--key", place.key, "--cache", place.cache.folder]
    return run("build", "--out", place.top / "out", *signed, *usual(place), *words)


def test_a_plan_tells_sizes_before_the_first_byte(place: Workplace) -> None:
    found = json.loads(run("plan", *usual(place), "--json"))
    assert found["kinds"]["binary"] == [1, len(KEYCLOAK)]
    assert found["kinds"]["model"][0] == 1
    assert found["bytes"] == sum(size for _, size in found["kinds"].values()) > len(WEIGHTS)


def test_people_read_the_plan_with_the_biggest_parts(place: Workplace) -> None:
    said = run("plan", *usual(place))
    assert "Modèles / Models" in said
    assert "tiny rev1" in said
    assert "GPU" not in said


def test_the_gpu_profile_says_that_it_was_not_rehearsed(place: Workplace) -> None:
    said = run("plan", *usual(place), "--profile", "gpu")
    assert "non répété sur un GPU" in said
    assert "not rehearsed on a GPU" in said


def test_a_build_answers_with_the_digest_that_the_site_will_see(
    place: Workplace, tmp_path: Path
) -> None:
    found = json.loads(build(place, "--json", "--seq", 3))
    folder = Path(found["folder"])
    assert folder.name == "casemate-0.1.0-3"
    manifest = (folder / "manifest.json").read_bytes()
    assert found["manifest"] == hashlib.sha256(manifest).hexdigest()
    assert found["bytes"] > len(WEIGHTS)
    assert json.loads(run("verify", folder, "--root", tmp_path / "site", "--json"))["ok"]


def test_what_is_left_behind_is_named_and_nothing_else(place: Workplace) -> None:
    (place.repository / "[notes].txt").write_text("mine\n")
    said = build(place)
    assert "Left behind, not committed: [notes].txt\n" in said
    assert "Locks used" not in said
    assert "Manifest SHA-256" in said


TINY = "models/tiny.lock.json"
SIX = tuple(f"{number}.txt" for number in range(6))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param((), [], id="nothing"),
        pytest.param((TINY,), [f"Locks used without a commit: {TINY}"], id="a lock is used"),
        pytest.param(("a", TINY), [f"Locks used without a commit: {TINY}",
                     "Left behind, not committed: a"], id="both"),
        pytest.param(("models/other.lock.json",),
                     ["Left behind, not committed: models/other.lock.json"],
                     id="a lock of no use"),
        pytest.param(SIX, [f"Left behind, not committed: {', '.join(SIX[:5])} … (+ 1)"],
                     id="a long list"),
    ],
)  # fmt: skip
def test_locks_are_used_as_they_lie_and_other_files_without_a_commit_are_not(
    changed: tuple[str, ...], said: list[str]
) -> None:
    locks = Locks("cpu", {}, [], [], [], [], texts={TINY: b"{}"})
    found = uncommitted(locks, Sources(Path(), "0", 0, changed))
    assert [line.partition(" / ")[2] for line in found] == said


STOLEN = PublicKey.of(OTHER_KEY)


def test_what_a_build_revokes_is_in_its_manifest(place: Workplace, tmp_path: Path) -> None:
    (tmp_path / "k.pub").write_text(f"{STOLEN.line()} clé de Lyon\n")
    word = f"key:{tmp_path}/k.pub=volée à Lyon"
    folder = Path(json.loads(build(place, "--json", "--revoke", word))["folder"])
    manifest = Manifest.parse((folder / "manifest.json").read_bytes())
    assert manifest.revocations == [Revocation("key", STOLEN.digest(), "volée à Lyon")]


def test_several_things_are_revoked_each_with_its_reason() -> None:
    one, two = "ab" * 32, "cd" * 32
    assert revocations([f"bundle:{one}=withdrawn", f"file:{two}= weak "]) == (
        Revocation("bundle", one, "withdrawn"), Revocation("file", two, "weak"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "word",
    ["key", f"wheel:{'ab' * 32}=x", f"file:{'AB' * 32}=x", f"file:{'ab' * 32}= ",
     f"file:{'ab' * 32}", "key:absent.pub=x", f"key:{__file__}.pub=x"],
)  # fmt: skip
def test_a_wrong_revocation_is_wrong_usage_before_anything_is_fetched(
    place: Workplace, word: str
) -> None:
    signed = ["--root", place.root, "--key", place.key, "--cache", place.top / "none"]
    run("build", "--out", place.top / "out", *signed, *usual(place), "--revoke", word, code=2)
    assert not (place.top / "none").exists()


def test_an_unknown_profile_is_wrong_usage(place: Workplace) -> None:
    run("plan", *usual(place), "--profile", "tpu", code=2)


def test_a_folder_is_named_or_names_itself(tmp_path: Path) -> None:
    assert folders([f"a={tmp_path}/x", f"{tmp_path}/tiny", f"b=c={tmp_path}"]) == {
        "a": tmp_path / "x", "tiny": tmp_path / "tiny", "b=c": tmp_path,
    }  # fmt: skip


def lock(folder: Path, repository: Path, *words: str) -> int:
    declared = ["--revision", "rev1", "--licence", "MIT", "--repository", str(repository)]
    done = CliRunner().invoke(model, ["lock", str(folder), *declared, *words])
    if isinstance(done.exception, BundleError):
        raise done.exception
    return done.exit_code


def test_a_model_is_locked_from_its_folder(tmp_path: Path) -> None:
    model_folder(tmp_path / "tiny")
    repository = tmp_path / "repository"
    repository.mkdir()
    assert lock(tmp_path / "tiny", repository) == 0
    found = decode((repository / "models" / "tiny.lock.json").read_bytes())
    assert (found.id, found.revision, found.licence) == ("tiny", "rev1", "MIT")
    assert lock(tmp_path / "tiny", repository, "--id", "other") == 0
    assert (repository / "models" / "other.lock.json").is_file()


def test_a_model_with_a_pickle_gets_no_lock(tmp_path: Path) -> None:
    model_folder(tmp_path / "tiny")
    (tmp_path / "tiny" / "x.bin").write_bytes(b"")
    with pytest.raises(BundleError, match="pickles"):
        lock(tmp_path / "tiny", tmp_path)
    assert not (tmp_path / "models").exists()
