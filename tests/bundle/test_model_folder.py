import hashlib
import json
import os
from pathlib import Path

import pytest

from appliance.bundle.model_folder import Declared, files_of, lock_folder
from appliance.bundle.models import ModelError, decode, encode
from tests.bundle.payloads import model_folder, safetensors

DECLARED = Declared("tiny", "rev1", "MIT")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return model_folder(tmp_path / "tiny")


def test_a_lock_is_made_from_the_files(folder: Path) -> None:
    told: list[tuple[str, int]] = []
    lock = lock_folder(folder, DECLARED, lambda *what: told.append(what))
    assert (lock.id, lock.revision, lock.licence) == ("tiny", "rev1", "MIT")
    assert (lock.weights, lock.tensors, lock.types) == (8, 1, ["F32"])
    assert [file.path for file in lock.files] == ["LICENSE", "config.json", "model.safetensors"]
    for file in lock.files:
        data = (folder / file.path).read_bytes()
        assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert told == [(file.path, file.size) for file in lock.files]
    assert decode(encode(lock)) == lock


def test_hidden_files_stay_where_they_are(folder: Path) -> None:
    before = lock_folder(folder, DECLARED)
    (folder / ".git").mkdir()
    (folder / ".git" / "hooks.py").write_text("")
    (folder / ".gitattributes").write_text("")
    assert lock_folder(folder, DECLARED) == before


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("pytorch_model.bin", b"\x80\x04", "pickles"), ("modeling_x.py", b"", "without code"),
        ("generation_config.json", b'{"auto_map": {"AutoModel": "x.Y"}}', "auto_map"),
        ("consolidated.safetensors", safetensors(), "weights twice, in two layouts"),
        ("model-2.safetensors", safetensors(), "weights twice, such as w"),
        ("x.safetensors", b"short", "cut short"), ("x.safetensors", b"", "cut short"),
        ("x.safetensors", safetensors()[:-1], "gaps"), ("x.safetensors", b"PK\3\4" * 9,
         "not safetensors"), ("weights.gguf", b"GGUF", "not on the list"),
        ("model.safetensors.index.json", b'{"weight_map": {"w": "gone"}}',
         "names gone, which is absent"),
    ],
    ids=["pickle", "code", "auto_map", "two layouts", "weights twice", "short", "empty", "cut",
         "a zip", "another format", "a shard that is absent"],
)  # fmt: skip
def test_a_folder_with_what_may_not_travel_gets_no_lock(
    folder: Path, name: str, data: bytes, why: str
) -> None:
    (folder / name).write_bytes(data)
    with pytest.raises(ModelError, match=why):
        lock_folder(folder, DECLARED)


def test_shards_with_their_index_are_one_model(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    second = {"v": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}
    (folder / "more.safetensors").write_bytes(safetensors(bytes(6), second))
    index = {"weight_map": {"w": "model.safetensors", "v": "more.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    lock = lock_folder(folder, DECLARED)
    assert (lock.weights, lock.tensors, lock.types) == (14, 2, ["BF16", "F32"])


def test_a_link_or_a_pipe_does_not_travel(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    (folder / "linked.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(ModelError, match=r"linked\.json: a link or a device"):
        files_of(folder)
    (folder / "linked.json").unlink()
    os.mkfifo(folder / "pipe.json")
    with pytest.raises(ModelError, match=r"pipe\.json"):
        files_of(folder)


def test_a_folder_that_is_a_link_inside_does_not_travel(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (folder / "sub").symlink_to(tmp_path / "other")
    with pytest.raises(ModelError, match="a link"):
        files_of(folder)


def test_what_is_no_folder_or_has_no_name_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="not a folder"):
        files_of(folder / "config.json")
    with pytest.raises(ModelError, match="a model is named"):
        lock_folder(folder, Declared("Tiny Model", "r", "MIT"))


def test_a_json_file_beyond_the_limit_is_not_read(folder: Path) -> None:
    with (folder / "huge.json").open("wb") as file:
        file.truncate(100_000_001)
    with pytest.raises(ModelError, match=r"huge\.json: too long"):
        lock_folder(folder, DECLARED)
