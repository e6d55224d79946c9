import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from appliance.rag.embed import CHARS_MAX, AwayError, Embedder
from appliance.settings import RealmSettings
from tests.rag.parts import SECRET, Upstreams, short_folder, vector_of

T = TypeVar("T")
Work = Callable[[Embedder], Awaitable[T]]


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


def with_embedder(upstreams: Upstreams, work: Work[T], secret: str = SECRET) -> T:
    async def run() -> T:
        async with upstreams.serving():
            realm = RealmSettings(**upstreams.realm)
            embedder = Embedder(upstreams.socket, realm, ("casemate-worker", secret), "mini")
            try:
                return await work(embedder)
            finally:
                await embedder.close()

    return asyncio.run(run())


def test_texts_get_vectors_of_length_one_in_their_order(folder: Path) -> None:
    upstreams = Upstreams(folder)
    texts = ["un", "deuxième", "trois"]
    vectors = with_embedder(upstreams, lambda e: e.embed(texts))
    assert len(vectors) == 3
    for text, vector in zip(texts, vectors, strict=True):
        assert vector is not None
        assert math.hypot(*vector) == pytest.approx(1)
        assert vector == pytest.approx(vector_of(text))
    assert upstreams.asked == [texts]


def test_a_token_is_kept_and_a_refused_one_is_renewed(folder: Path) -> None:
    upstreams = Upstreams(folder)

    async def work(embedder: Embedder) -> int:
        await embedder.embed(["un"])
        await embedder.embed(["deux"])
        before = upstreams.tokens
        upstreams.accepted = "another"
        with pytest.raises(AwayError):
            await embedder.embed(["trois"])
        await embedder.embed(["trois"])
        return before

    assert with_embedder(upstreams, work) == 1
    assert upstreams.tokens == 2


def test_a_refused_text_does_not_take_the_others_along(folder: Path) -> None:
    upstreams = Upstreams(folder, refuse=lambda text: "secret" in text)
    vectors = with_embedder(upstreams, lambda e: e.embed(["un", "secret " * 20, "trois"]))
    assert [vector is None for vector in vectors] == [False, True, False]


def test_a_text_that_the_model_cannot_hold_is_cut(folder: Path) -> None:
    upstreams = Upstreams(folder, refuse=lambda text: len(text) > 300)
    (vector,) = with_embedder(upstreams, lambda e: e.embed(["mot " * 1000]))
    assert vector is not None
    assert [len(texts[0]) for texts in upstreams.asked] == [CHARS_MAX // 4]


@pytest.mark.parametrize("status", [401, 402, 408, 429, 500, 502, 503])
def test_what_may_pass_is_tried_again_later(folder: Path, status: int) -> None:
    with pytest.raises(AwayError):
        with_embedder(Upstreams(folder, status=status), lambda e: e.embed(["un"]))


def test_keycloak_away_or_a_wrong_secret_is_tried_again_later(folder: Path) -> None:
    with pytest.raises(AwayError, match="Keycloak"):
        with_embedder(Upstreams(folder), lambda e: e.embed(["un"]), secret="wrong")


def test_no_gateway_is_tried_again_later(folder: Path) -> None:
    upstreams = Upstreams(folder)

    async def work(embedder: Embedder) -> None:
        upstreams.socket.unlink()
        await embedder.embed(["un"])

    with pytest.raises(AwayError, match="gateway"):
        with_embedder(upstreams, work)


@pytest.mark.parametrize(
    "embedding", [[], [0.0, 0.0], [float("inf")], "x"], ids=["none", "zero", "endless", "text"]
)
def test_a_vector_without_direction_is_not_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, embedding: object
) -> None:
    monkeypatch.setattr("tests.rag.parts.vector_of", lambda _: embedding)
    with pytest.raises(AwayError):
        with_embedder(Upstreams(folder), lambda e: e.embed(["un"]))
