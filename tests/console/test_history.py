"""The history: opened by the console's key, shown as erased once that key is gone."""

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from appliance.audit.client import RefusedError
from appliance.audit.content import ContentKey, Ephemeral
from appliance.console.history import History, Words
from appliance.console.store import ContentRow
from tests.audit import logs

PRIVATE = X25519PrivateKey.generate()
KEY = ContentKey.new()
WORDS = Words("Source %s", "(contenu effacé)")


class Log:
    """A recorder that knows one terminal record."""

    def __init__(self, sealed: bytes | None, event: Any = None) -> None:
        self._sealed, self._event = sealed, event or logs.completion(1)

    async def sealed(self, record: int) -> bytes:
        if self._sealed is None:
            raise RefusedError("CM-JRN-02", f"no key came with {record}")
        return self._sealed

    async def read(self, start: int, limit: int) -> list[bytes]:
        return [logs.leaf(start, self._event)][:limit]


def history(sealed: bytes | None, event: Any = None) -> History:
    return History(cast("Any", Log(sealed, event)), PRIVATE.private_bytes_raw())


def sealed_for(public: bytes) -> bytes:
    return KEY.seal([public], Ephemeral.new(0))


def row(**changes: Any) -> ContentRow:
    values: dict[str, Any] = {
        "request": "r" * 20, "record": 7, "conversation": uuid.UUID(int=1),
        "at": datetime(2026, 11, 23, tzinfo=UTC), "model": "extraits", "label": 1,
        "collections": ["notes"], "outcome": "answer",
        "question": KEY.encrypt("question", "Q ?"),
        "answer": KEY.encrypt("answer", "Deux mois [1]."), "citations": [1],
        "passages": [{"n": 1, "passage": "p", "document": "d", "title": "T", "label": 1,
                      "place": {"page": 1, "section": "", "start": 0, "end": 3}}],
    }  # fmt: skip
    return ContentRow(**(values | changes))


def turn_of(kept: History, one: ContentRow) -> Any:
    return asyncio.run(kept._turn(one, WORDS, frozenset({"extraits"})))


def test_a_question_is_opened_with_its_answer_and_its_receipt() -> None:
    turn = turn_of(history(sealed_for(PRIVATE.public_key().public_bytes_raw())), row())
    assert turn.question == "Q ?"
    assert 'href="/source/d/p"' in turn.html
    assert (turn.receipt.index, len(turn.receipt.leaf), turn.extractive) == (7, 44, True)
    assert not turn.stopped


@pytest.mark.parametrize(
    "sealed",
    [
        None,
        b"",
        b"\x01" * 97,
        sealed_for(X25519PrivateKey.generate().public_key().public_bytes_raw()),
    ],
    ids=["destroyed", "empty", "changed", "for another"],
)
def test_what_does_not_open_any_more_is_shown_as_erased(sealed: bytes | None) -> None:
    turn = turn_of(history(sealed), row())
    assert turn.question == "(contenu effacé)"
    assert turn.html == "<p>(contenu effacé)</p>\n"
    assert turn.receipt.index == 7, "the proof outlives the content"


def test_texts_of_another_request_do_not_open() -> None:
    other = ContentKey.new()
    one = row(question=other.encrypt("question", "X"), answer=KEY.encrypt("question", "Q ?"))
    turn = turn_of(history(sealed_for(PRIVATE.public_key().public_bytes_raw())), one)
    assert turn.question == "(contenu effacé)"
    assert "effacé" in turn.html


def test_an_answer_that_was_stopped_is_marked() -> None:
    from appliance.audit.client import unserved  # noqa: PLC0415

    kept = history(None, unserved(logs.intent(1)))
    assert turn_of(kept, row()).stopped
