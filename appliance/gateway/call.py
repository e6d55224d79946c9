"""One request on its way: what is known of it, and the records that it leaves. Pure.

Content is bound to the log by keyed commitments under the request's own key; the records hold
no text. What an answer cut short has cost is what the engine last reported, or else bounded by
what was read of it.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Literal, Protocol

import msgspec

from appliance.audit.content import ContentKey, commit
from appliance.audit.event import (
    Completion,
    Fact,
    Failed,
    Intent,
    Interrupted,
    Kind,
    Refused,
    fact,
)
from appliance.gateway import terms as terms_
from appliance.gateway.answer import Answer
from appliance.gateway.store import ContentRow
from appliance.gateway.terms import Terms
from appliance.identity.principal import Principal
from appliance.rag.retrieve import Passage, public

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Terminal = Completion | Failed | Interrupted | Refused
Outcome = Literal["answer", "nearby", "none", ""]


class Cancellable(Protocol):
    """A task."""

    def cancel(self) -> bool:
        """End it at its next wait."""
        ...


class Call(msgspec.Struct, eq=False):
    """A request that was granted."""

    id: str
    caller: Principal
    terms: Terms
    question: str
    receive: Receive
    started: float  # seconds of a monotonic clock
    key: ContentKey
    operation: Literal["chat", "embeddings"] = "chat"
    stream: bool = False
    conversation: str | None = None
    answer: Answer | None = None
    flags: list[str] = []  # of the input guard
    committed: str = ""  # commitment of the question, for both its records
    passages: list[Passage] = []
    outcome: Outcome = ""
    embedded: int = 0  # tokens of the question's embedding
    status: int = 0  # of the engine
    asked: bool = False  # the engine may have worked
    waited: float = 0.0  # seconds for the engine
    task: Cancellable | None = None  # set while leaving or a stop may cancel it
    left: bool = False  # the client did
    stopped: bool = False  # the service was
    ended: bool = False  # its terminal record was sent
    watched: bool = False

    @property
    def label(self) -> int:
        """Return the label of the answer: the highest of its passages."""
        return max(p.label for p in self.passages) if self.passages else 0

    @property
    def citations(self) -> list[int]:
        """Return the numbers that the answer cites."""
        inert = self.answer.flow.inert if self.answer else None
        return inert.cited if inert else []

    @property
    def text(self) -> str:
        """Return what left of the answer."""
        return self.answer.text if self.answer else ""

    def intent(self, policy: str) -> Intent:
        """Return the record that comes before the engine is asked."""
        terms, key = self.terms, self.caller.key
        self.committed = self.key.commit("question", self.question)
        return Intent(
            actor=self.caller.subject, flags=self.flags, id=f"{self.id}-i",
            key=key.id if key else "", label=terms.label, max_tokens=terms.max_tokens,
            model=terms.model, operation=self.operation, policy=policy,
            prompt=self.committed, request=self.id, reserve=terms.reserve, stream=self.stream,
        )  # fmt: skip

    def retrieval(self, flags: list[str]) -> Fact:
        """Return the record of the passages: ids and commitments, never their text."""
        key = self.key.commitment_key("question")
        given = {
            f"p{n}": f"{p.id} {commit(key, p.body)}" for n, p in enumerate(self.passages, 1)
        }
        collections = " ".join(self.terms.collections)[:200]
        return fact(
            Kind.RAG_RETRIEVE, self.caller.subject, f"{self.id}-r", label=self.label,
            request=self.id, outcome=self.outcome, collections=collections,
            flags=" ".join(flags), **given,
        )  # fmt: skip

    def terminal(
        self, kind: type[Terminal], finish: str, reason: str, *, content: bool, now: float
    ) -> Terminal:
        """Return the record that ends it.

        Args:
            kind: How it ends.
            finish: Why, where the engine did not say.
            reason: A code of the table of errors, or "".
            content: Whether the history keeps the texts.
            now: Seconds of the same clock as `started`.
        """
        asked, answered = self.used()
        spend = terms_.spent(self.terms.reserve, asked + answered + self.embedded)
        answer = self.answer
        return kind(
            actor=self.caller.subject, completion_tokens=answered,
            answer=self.key.commit("answer", self.text),
            content="sealed" if content else "none", duration=int((now - self.started) * 1e6),
            finish=finish or (answer.finish if answer else ""),
            flags=answer.flags if answer else [],
            id=f"{self.id}-t", label=self.label, outcome=self.outcome,
            prompt=self.committed, prompt_tokens=asked, reason=reason, request=self.id,
            spend=spend, status=self.status,
        )  # fmt: skip

    def used(self) -> tuple[int, int]:
        """Return tokens in and out: as the engine reports, or else a bound."""
        usage = self.answer.usage if self.answer else None
        if usage is not None:
            return usage.prompt_tokens, usage.completion_tokens
        if not self.asked:
            return 0, 0
        worst = next(iter(self.terms.reserve.values()))
        longest = self.terms.max_tokens
        read = self.answer.most_tokens if self.answer and self.stream else longest
        return worst - longest, min(longest, read)

    def row(self, record: int, at: float) -> ContentRow:
        """Return what the owner's history keeps, encrypted.

        Args:
            record: Index of the terminal record.
            at: Seconds since 1970.
        """
        caller, terms = self.caller, self.terms
        return ContentRow(
            self.id, record, caller.subject, caller.key.id if caller.key else "",
            self.conversation, at, terms.model, self.label, terms.collections, self.outcome,
            self.key.encrypt("question", self.question), self.key.encrypt("answer", self.text),
            public(self.passages) if self.passages else [], self.citations,
        )  # fmt: skip

    def ending(self, index: int, leaf: str, *, passages: bool) -> bytes:
        """Return the JSON of the field `casemate` at the end of an answer."""
        last: dict[str, object] = {
            "citations": self.citations,
            "outcome": self.outcome or "answer",
            "grounded": bool(self.terms.collections),
            "label": self.label,
            "receipt": {"index": index, "leaf": leaf},
        }
        if passages and self.terms.collections:
            last["passages"] = public(self.passages)
        return msgspec.json.encode(last)

    def first(self) -> bytes:
        """Return the JSON of the field `casemate` at the beginning of a grounded stream."""
        return msgspec.json.encode({"passages": public(self.passages)})

    def headers(self, index: int, leaf: str, now: float) -> list[tuple[bytes, bytes]]:
        """Return the headers that name the request and the place of its intent."""
        spent = max(now - self.started - self.waited, 0) * 1000
        return [
            (b"x-casemate-request", self.id.encode()),
            (b"x-casemate-receipt", b"%d; leaf=%b" % (index, leaf.encode())),
            (b"x-casemate-label", b"%d" % self.label),
            (b"x-casemate-generated", b"true" if self.outcome in {"", "answer"} else b"false"),
            (b"x-casemate-overhead-ms", b"%.2f" % spent),
        ]
