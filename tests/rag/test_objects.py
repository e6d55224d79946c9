import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance.rag.objects import SEGMENT, ObjectError, Objects, Stored

VAULT, OTHER = uuid.uuid4(), uuid.uuid4()
SIZES = [1, 100, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, 2 * SEGMENT + 5]


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path / "objects", b"k" * 32)


async def cut(data: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def keep(objects: Objects, data: bytes, vault: uuid.UUID = VAULT) -> Stored:
    async def run() -> Stored:
        return (await objects.receive(vault, cut(data))).keep()

    return asyncio.run(run())


def files(objects: Objects) -> list[Path]:
    return [path for path in objects.folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("size", SIZES)
def test_an_original_comes_back_and_is_not_clear_on_disk(objects: Objects, size: int) -> None:
    data = (b"une phrase assez longue pour etre vue " * (size // 38 + 1))[:size]
    stored = keep(objects, data)
    assert stored.size == size
    assert objects.read(VAULT, stored) == data
    (file,) = files(objects)
    assert data[:32] not in file.read_bytes() or size < 32


def test_the_address_is_of_contents_and_collection_and_the_key_is_new(objects: Objects) -> None:
    one, two, elsewhere = (keep(objects, b"texte", v) for v in (VAULT, VAULT, OTHER))
    assert one.content_id == two.content_id != elsewhere.content_id
    assert one.wrapped_key != two.wrapped_key
    assert objects.read(VAULT, two) == b"texte"
    with pytest.raises(ObjectError):
        objects.read(VAULT, one)  # its file was replaced under another key


def flip(position: int) -> Callable[[bytes], bytes]:
    def change(sealed: bytes) -> bytes:
        at = position % len(sealed)
        return sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]

    return change


STEP = SEGMENT + 16


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(flip(0), id="first byte"),
        pytest.param(flip(STEP + 3), id="second segment"),
        pytest.param(flip(-1), id="last byte"),
        pytest.param(lambda s: s[:-1], id="one byte less"),
        pytest.param(lambda s: s + b"\0", id="one byte more"),
        pytest.param(lambda s: s[:STEP], id="cut after a segment"),
        pytest.param(lambda s: s[STEP:], id="without the first segment"),
        pytest.param(
            lambda s: s[STEP : 2 * STEP] + s[:STEP] + s[2 * STEP :], id="segments exchanged"
        ),
        pytest.param(lambda _: b"", id="empty"),
    ],
)
def test_a_changed_file_is_refused(objects: Objects, change: Callable[[bytes], bytes]) -> None:
    stored = keep(objects, bytes(range(256)) * (2 * SEGMENT // 256 + 10))
    path = objects.path(VAULT, stored.content_id)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ObjectError):
        objects.read(VAULT, stored)


def test_a_row_of_another_original_opens_nothing(objects: Objects) -> None:
    one, two = keep(objects, b"un"), keep(objects, b"deux")
    for stored in (
        replace(one, wrapped_key=two.wrapped_key),
        replace(one, content_id=two.content_id),
        replace(one, wrapped_key=b""),
        replace(one, content_id=b"\0" * 32),
    ):
        with pytest.raises(ObjectError):
            objects.read(VAULT, stored)
    with pytest.raises(ObjectError):
        objects.read(OTHER, one)
    with pytest.raises(ObjectError):
        replace(objects, key=b"x" * 32).read(VAULT, one)


def test_other_contents_under_the_right_key_are_refused(objects: Objects) -> None:
    """Whoever holds the keys cannot put other contents under an address either."""
    stored = keep(objects, b"un")
    nonce, wrapped = stored.wrapped_key[:12], stored.wrapped_key[12:]
    wrapping = AESGCM(objects.derive(VAULT, b"wrap"))
    key = wrapping.decrypt(nonce, wrapped, stored.content_id)
    forged = AESGCM(key).encrypt(bytes(12), b"deux", b"last")
    objects.path(VAULT, stored.content_id).write_bytes(forged)
    with pytest.raises(ObjectError, match="not the one"):
        objects.read(VAULT, stored)


def test_a_broken_arrival_leaves_nothing(objects: Objects) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * SEGMENT * 2
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        asyncio.run(objects.receive(VAULT, broken()))
    assert files(objects) == []


def test_removing_is_final_and_may_be_repeated(objects: Objects) -> None:
    stored = keep(objects, b"texte")
    objects.remove(VAULT, stored.content_id)
    objects.remove(VAULT, stored.content_id)
    assert files(objects) == []
    with pytest.raises(ObjectError):
        objects.read(VAULT, stored)
