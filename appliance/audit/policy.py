"""What an auditor trusts: the keys of the log, the witnesses, and how many have to agree.

Format: https://c2sp.org/tlog-policy, one item a line:

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> <all|any|k> <name>…
    quorum <name|none>

The quorum stands last. A policy has one form here: what parsing accepts, printing gives back;
so no comments, no empty lines, one space between words. From which size to which a key of the
log holds, this format cannot say: see `keyring.py`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Self

from appliance.audit.cosignature import Cosigner
from appliance.audit.key import Algorithm, Verifier
from appliance.audit.note import Note
from appliance.errors import FormatError, VerificationError

POLICY_BYTES_MAX = 65_536
LINES_MAX = 97  # 32 logs, 32 witnesses, 32 groups, and the quorum
NONE = "none"


@dataclass(frozen=True, slots=True)
class Log:
    """A key of a log, and where the log is."""

    key: Verifier
    url: str = ""

    def line(self) -> str:
        """Return the line."""
        return f"log {self.key.text()}{_after(self.url)}"


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness under the name that it has in this policy."""

    name: str
    cosigner: Cosigner
    url: str = ""

    def line(self) -> str:
        """Return the line."""
        return f"witness {self.name} {self.cosigner.text()}{_after(self.url)}"


@dataclass(frozen=True, slots=True)
class Group:
    """Witnesses and groups, of which some have to agree."""

    name: str
    need: str  # "all", "any", or how many
    members: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.members or len(set(self.members)) != len(self.members):
            raise FormatError(f"group {self.name} has no members, or one of them twice")
        if self.need not in {"all", "any", *map(str, range(1, len(self.members) + 1))}:
            raise FormatError(f"group {self.name} needs all, any, or as many as it has")

    @property
    def least(self) -> int:
        """How many members have to agree."""
        match self.need:
            case "all":
                return len(self.members)
            case "any":
                return 1
            case number:
                return int(number)

    def line(self) -> str:
        """Return the line."""
        return f"group {self.name} {self.need} {' '.join(self.members)}"


Item = Log | Witness | Group


@dataclass(frozen=True, slots=True)
class Policy:
    """The items in the order of the file, and the name of the quorum."""

    items: tuple[Item, ...]
    quorum: str = NONE
    _named: Mapping[str, Witness | Group] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        named: dict[str, Witness | Group] = {}
        taken: set[str] = set()  # members of some group
        for item in self.items:
            if isinstance(item, Log):
                continue
            _check_name(item.name)
            if item.name in named or item.name == NONE:
                raise FormatError(f"{item.name} is named twice, or is no name")
            if isinstance(item, Group):
                _check_members(item, named, taken)
                taken.update(item.members)
            named[item.name] = item
        publics = [_public(item) for item in self.items if not isinstance(item, Group)]
        if len(set(publics)) != len(publics):
            raise FormatError("the policy has a key twice")
        if self.quorum != NONE and self.quorum not in named:
            raise FormatError(f"the quorum {self.quorum} is no witness and no group")
        object.__setattr__(self, "_named", named)

    @property
    def keys(self) -> tuple[Verifier, ...]:
        """The keys of the logs, of types that are known here."""
        return tuple(
            item.key for item in self.items if isinstance(item, Log) and item.key.supported
        )

    @property
    def witnesses(self) -> tuple[Witness, ...]:
        """The witnesses."""
        return tuple(item for item in self.items if isinstance(item, Witness))

    def text(self) -> str:
        """Return the file."""
        lines = [*(item.line() for item in self.items), f"quorum {self.quorum}"]
        return "\n".join(lines) + "\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a file.

        Raises:
            FormatError: Not a policy in its one form.
        """
        lines = text.split("\n")
        if len(text) > POLICY_BYTES_MAX or len(lines) > LINES_MAX + 1:
            raise FormatError("the policy is too long")
        match [line.split(" ") for line in lines[-2:]]:
            case [["quorum", quorum], [""]]:
                pass
            case _:
                raise FormatError("a policy ends with its quorum and a newline")
        policy = cls(tuple(map(_item, lines[:-2])), quorum)
        if policy.text() != text:
            raise FormatError("the policy is not in canonical form")
        return policy

    def cosigned(self, note: Note) -> dict[str, int]:
        """Return which witnesses cosigned a note, and when.

        Returns:
            Name in this policy -> seconds since 1970, as the witness's clock said.

        Raises:
            VerificationError: A line of a known witness is false.
        """
        times = {one.name: one.cosigner.time_of(note) for one in self.witnesses}
        return {name: at for name, at in times.items() if at is not None}

    def check_quorum(self, cosigned: Collection[str]) -> None:
        """Check that enough witnesses agree.

        Args:
            cosigned: Names of those whose cosignature was verified.

        Raises:
            VerificationError: They are too few.
        """
        if self.quorum != NONE and not self._agrees(self.quorum, cosigned):
            raise VerificationError(f"the quorum {self.quorum} of the policy is not reached")

    def _agrees(self, name: str, cosigned: Collection[str]) -> bool:
        item = self._named[name]
        if isinstance(item, Witness):
            return name in cosigned
        return sum(self._agrees(member, cosigned) for member in item.members) >= item.least


def _item(line: str) -> Item:
    match line.split(" "):
        case ["log", key, *url] if len(url) <= 1:
            return Log(_log_key(key), *url)
        case ["witness", name, key, *url] if len(url) <= 1:
            return Witness(name, Cosigner.parse(key), *url)
        case ["group", name, need, *members]:
            return Group(name, need, tuple(members))
        case _:
            raise FormatError("a line of a policy is a log, a witness, a group or the quorum")


def _log_key(text: str) -> Verifier:
    key = Verifier.parse(text)
    if key.algorithm == Algorithm.COSIGNATURE:
        raise FormatError("the key of a log is not that of a witness")
    return key


def _check_name(name: str) -> None:
    if not name or not name.isprintable() or any(map(str.isspace, name)):
        raise FormatError("a name of a policy is one word")


def _check_members(group: Group, named: Collection[str], taken: Collection[str]) -> None:
    for member in group.members:
        if member not in named or member in taken:
            raise FormatError(
                f"{member} in group {group.name} is not defined before, or is in another one"
            )


def _public(item: Log | Witness) -> bytes:
    return item.key.public if isinstance(item, Log) else item.cosigner.key.public


def _after(url: str) -> str:
    return f" {url}" if url else ""
