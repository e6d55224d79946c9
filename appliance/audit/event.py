r"""Events that clients send, and the leaves that the log keeps.

Both are JSON with sorted keys and without floats, so that the bytes equal RFC 8785. A leaf
holds metadata, digests and keyed commitments; never a prompt, an answer or a passage. A type,
once signed, is for ever. Subjects are a closed vocabulary (DESIGN 6), not package names.

Each hot type is a struct of its own: a typed decode checks names, types and bounds at once, and
costs a third of a dictionary whose keys are matched against a pattern. The others share the
fields of `Fact`, one generated struct for each entry of `Kind`.
"""

import base64
import hashlib
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self, Union, cast

import msgspec

from appliance.errors import FormatError

EVENT_BYTES_MAX = 3_840  # of the 4 096 of a leaf; the rest takes up to 170

ID_CHARS_MIN, ID_CHARS_MAX = 16, 64
_is_id = re.compile(rf"[0-9A-Za-z_-]{{{ID_CHARS_MIN},{ID_CHARS_MAX}}}").fullmatch

# A pattern would be a call of `re` from C for each field; length and `is_id` refuse the same.
Id = Annotated[str, msgspec.Meta(min_length=ID_CHARS_MIN, max_length=ID_CHARS_MAX)]
Short = Annotated[str, msgspec.Meta(max_length=200)]
Flags = Annotated[list[Short], msgspec.Meta(max_length=32)]
Number = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]  # what every JSON reader keeps
Signed = Annotated[int, msgspec.Meta(gt=-(2**53), lt=2**53)]
Digest = Annotated[str, msgspec.Meta(min_length=43, max_length=44)]  # base64 of 32 bytes
BudgetName = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Amounts = Annotated[dict[BudgetName, Number], msgspec.Meta(max_length=8)]  # budget -> tokens
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
Data = Annotated[dict[Name, Short | Signed], msgspec.Meta(max_length=32)]


class Kind(StrEnum):
    """Types of a `Fact`. Those that the recorder alone writes are in `OWN`."""

    ADMIN_ACCESS = "casemate.admin.access.v1"  # at the rack: a login, sudo, the sealed account
    ADMIN_ROLE = "casemate.admin.role.v1"
    ADMIN_USER = "casemate.admin.user.v1"
    AUDIT_ANCHOR = "casemate.audit.anchor.v1"  # a checkpoint of `size` is kept elsewhere
    AUDIT_DEGRADED = "casemate.audit.degraded.v1"
    AUDIT_EPOCH = "casemate.audit.epoch.v1"  # first of a log that takes over from a lost one
    AUDIT_EXPORT = "casemate.audit.export.v1"
    AUDIT_HEARTBEAT = "casemate.audit.heartbeat.v1"  # counts as others than the log saw them
    AUDIT_LOSS = "casemate.audit.loss.v1"  # copies that never reached the site's collector
    AUDIT_PRUNE = "casemate.audit.prune.v1"  # records before `min_index` are taken away
    AUDIT_READ = "casemate.audit.read.v1"  # an auditor opened one record
    AUDIT_SEARCH = "casemate.audit.search.v1"
    AUDIT_START = "casemate.audit.start.v1"
    AUDIT_STOP = "casemate.audit.stop.v1"
    AUTH_DENIED = "casemate.auth.denied.v1"  # nobody is known; a summary carries `count`
    AUTH_LOGIN = "casemate.auth.login.v1"
    AUTH_LOGOUT = "casemate.auth.logout.v1"
    AUTHZ_DENIED = "casemate.authz.denied.v1"  # refused before an intent; `reason` is a code
    CLOCK_STEP = "casemate.clock.step.v1"
    CONFIG_CHANGE = "casemate.config.change.v1"
    CONTENT_APPROVE = "casemate.content.approve.v1"  # one of the two who let it be opened
    CONTENT_ERASE = "casemate.content.erase.v1"  # of the records from `first` to before `end`
    CONTENT_ERASED = "casemate.content.erased.v1"  # their keys are destroyed
    CONTENT_READ = "casemate.content.read.v1"
    EVIDENCE_OBSERVE = "casemate.evidence.observe.v1"
    GATE_DECIDE = "casemate.gate.decide.v1"
    HUMAN_FLAG = "casemate.human.flag.v1"  # a person reports an answer
    HUMAN_REVIEW = "casemate.human.review.v1"
    INSTALL_PHASE = "casemate.install.phase.v1"
    KEY_ISSUE = "casemate.key.issue.v1"
    KEY_REVOKE = "casemate.key.revoke.v1"
    KEY_ROTATE = "casemate.key.rotate.v1"  # of the log: from this size on another one signs
    MODEL_LOAD = "casemate.model.load.v1"
    POLICY_CHANGE = "casemate.policy.change.v1"
    RAG_COLLECTION = "casemate.rag.collection.v1"
    RAG_DELETE = "casemate.rag.delete.v1"
    RAG_INGEST = "casemate.rag.ingest.v1"
    RAG_OPEN = "casemate.rag.open.v1"  # a source was shown
    RAG_RETRIEVE = "casemate.rag.retrieve.v1"
    SERVICE_APPROVE = "casemate.service.approve.v1"
    SERVICE_BOOT = "casemate.service.boot.v1"  # the machine was started
    SERVICE_DEGRADED = "casemate.service.degraded.v1"  # a part is away
    SERVICE_RESTORED = "casemate.service.restored.v1"
    SERVICE_STOP = "casemate.service.stop.v1"
    TOOL_CALL = "casemate.tool.call.v1"
    TOOL_RESULT = "casemate.tool.result.v1"


OWN = frozenset({
    Kind.AUDIT_DEGRADED, Kind.AUDIT_EPOCH, Kind.AUDIT_PRUNE, Kind.AUDIT_START, Kind.AUDIT_STOP,
    Kind.CLOCK_STEP, Kind.CONTENT_ERASED, Kind.KEY_ROTATE,
})  # fmt: skip


NO_TEXT = base64.b64encode(hashlib.sha256(b"").digest()).decode()  # where no text left


def is_id(text: str) -> bool:
    """Tell whether the length is right and each character is allowed."""
    return _is_id(text) is not None


class Intent(
    msgspec.Struct,
    forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="casemate.llm.request.v1",
):  # fmt: skip
    """A model is about to be asked. Its reservation is decided with it."""

    actor: Short  # sub of the person, or of the key's owner
    flags: Flags  # rules of the input guard that fired
    id: Id
    key: Short = ""  # id of the application key, when one was used
    label: Number  # highest of what is asked for
    max_tokens: Number
    model: Short
    operation: Short = "chat"  # or embeddings
    policy: Digest
    prompt: Digest  # keyed commitment of the question
    request: Id
    reserve: Amounts
    stream: bool = False


class Terminal(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, tag_field="type"):
    """What ends a request: exactly one for each intent."""

    actor: Short
    answer: Digest  # keyed commitment of the text that left
    completion_tokens: Number
    content: Literal["sealed", "none"] = "none"  # whether the history keeps the texts
    duration: Number  # microseconds
    finish: Short  # of the engine; or why there is none
    flags: Flags  # rules of the output guard that fired
    id: Id
    label: Number  # of the answer: the highest of its passages
    outcome: Literal["answer", "nearby", "none", ""] = ""
    prompt: Short = ""  # the intent's commitment again: the receipt of an answer opens both
    prompt_tokens: Number
    reason: Short = ""  # a code of the table of errors
    request: Id
    spend: Amounts
    status: Number  # HTTP, of the engine; 0 when it was not asked


class Completion(Terminal, tag="casemate.llm.completion.v1"):
    """The engine answered to the end."""


class Interrupted(Terminal, tag="casemate.llm.interrupted.v1"):
    """The client left, the service was stopped, or the gateway was lost."""


class Failed(Terminal, tag="casemate.llm.error.v1"):
    """The engine did not answer."""


class Refused(Terminal, tag="casemate.llm.refused.v1"):
    """Refused after the intent: by the output guard, the retrieval, the policy."""


class BudgetChange(
    msgspec.Struct,
    forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="casemate.budget.change.v1",
):  # fmt: skip
    """From here on a budget has this limit. `team:*`, `user:*`, `key:*` are defaults."""

    actor: Short
    budget: BudgetName
    hard: bool
    id: Id
    limit: Number  # tokens in a period
    period: Literal["day", "week", "month", "total"]


class Fact(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What happened, in the words of the client that saw it. Made by `fact`."""

    kind: ClassVar[Kind]
    actor: Short
    data: Data = {}
    id: Id
    label: Number = 0
    request: Id | None = None  # the model request that it belongs to


def _struct(kind: Kind) -> type[Fact]:
    name = "".join(part.capitalize() for part in kind.split(".")[1:3])
    made = msgspec.defstruct(
        name, [], bases=(Fact,), namespace={"kind": kind}, tag_field="type", tag=str(kind),
        forbid_unknown_fields=True, kw_only=True, omit_defaults=True,
    )  # fmt: skip
    return cast(type[Fact], made)


HOT: tuple[type[msgspec.Struct], ...] = (
    Intent, Completion, Interrupted, Failed, Refused, BudgetChange,
)  # fmt: skip
FACTS: dict[Kind, type[Fact]] = {kind: _struct(kind) for kind in Kind}

if TYPE_CHECKING:
    Event = Intent | Completion | Interrupted | Failed | Refused | BudgetChange | Fact
else:
    Event = Union[
        Intent, Completion, Interrupted, Failed, Refused, BudgetChange, *FACTS.values(),
    ]  # fmt: skip


def fact(
    kind: Kind, actor: str, event_id: str, *, label: int = 0, request: str | None = None,
    **data: str | int,
) -> Fact:  # fmt: skip
    """Make a fact. `data` are its own fields."""
    return FACTS[kind](actor=actor, id=event_id, label=label, request=request, data=data)


def type_of(struct: type[msgspec.Struct]) -> str:
    """Return the type that a struct stands for, such as `casemate.llm.request.v1`."""
    return str(struct.__struct_config__.tag)


def event_type(event: "Event") -> str:
    """Return the type of an event."""
    return type_of(type(event))


TYPES = frozenset({*map(type_of, HOT), *FACTS})

encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(Event).decode


def parse(body: bytes) -> "Event":
    """Read an event from its canonical bytes, or from any JSON form of it.

    Raises:
        FormatError: Not an event, or one too long for a leaf.
    """
    try:
        event: Event = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise FormatError(f"not an event: {exc}") from exc
    if len(encode(event)) > EVENT_BYTES_MAX or not is_id(event.id):
        raise FormatError("the event is too long, or its id is not one")
    return event


class Leaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event at its place in the log. The index is the order; the clocks are as they were."""

    at: int  # microseconds since 1970, UTC, as the wall clock said; may go back
    boot: str  # id of the boot that `mono` counts from
    event: Event
    index: int
    mono: int  # microseconds
    uid: int  # of the client, as the kernel gave it

    def text(self) -> bytes:
        """Return the bytes that are stored and hashed."""
        return encode(self)

    @classmethod
    def parse(cls, stored: bytes) -> Self:
        """Read a leaf back.

        Raises:
            FormatError: Not the canonical bytes of a leaf.
        """
        try:
            leaf = msgspec.json.decode(stored, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise FormatError(f"not a leaf: {exc}") from exc
        if leaf.text() != stored:
            raise FormatError("leaf is not in canonical form")
        return leaf


def leaf_text(event: bytes, index: int, at: tuple[int, int], peer: tuple[bytes, int]) -> bytes:
    """Return what `Leaf.text` would, six times as fast.

    Args:
        event: Its canonical bytes.
        index: Its place.
        at: Wall clock and monotonic clock, microseconds.
        peer: Boot id, and user id of the client as the kernel gave it.
    """
    return b'{"at":%d,"boot":"%b","event":%b,"index":%d,"mono":%d,"uid":%d}' % (
        at[0], peer[0], event, index, at[1], peer[1],
    )  # fmt: skip
