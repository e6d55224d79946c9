"""What the console asks the reader, on a connection of its own: one question, one answer.

Frames are those of the recorder, `u32 length ‖ JSON`. A refusal is an answer with a code.
"""

import msgspec

from appliance.audit.event import Number


class Note(msgspec.Struct, forbid_unknown_fields=True, tag_field="op", tag="note"):
    """Look at an approval in the log, and keep it in mind while it is fresh."""

    approval: Number  # index of its leaf


class Pending(msgspec.Struct, forbid_unknown_fields=True, tag_field="op", tag="pending"):
    """The fresh approvals that opened nothing yet."""


class Open(msgspec.Struct, forbid_unknown_fields=True, tag_field="op", tag="open"):
    """Open the content of a record, once."""

    record: Number


Question = Note | Pending | Open


class Given(msgspec.Struct, frozen=True):
    """An approval that waits."""

    index: int
    record: int
    actor: str
    name: str
    role: str
    reason: str
    at: int  # microseconds since 1970


class Opened(msgspec.Struct, frozen=True):
    """The texts of a record. They exist in this answer and nowhere else in the clear."""

    question: str
    answer: str
    label: int
    read: int  # index of the leaf that says that it was read


class Answer(msgspec.Struct, omit_defaults=True):
    """Of the reader."""

    error: str = ""  # a code of the table of errors
    detail: str = ""
    pending: list[Given] = []
    opened: Opened | None = None
