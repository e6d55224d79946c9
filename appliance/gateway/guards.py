"""Rules over text: secrets, French and European personal data, injection phrases.

A text is folded first (compatibility forms, look-alikes and digits of other scripts to ASCII,
invisible characters out), positions kept, so that what is masked is what was written. One RE2 set
says which rules may match; only those are searched, and their checksums verified.

The result of a position depends on at most `HOLD_BACK` characters after it: a stream that is
scanned as it comes gives the same result as the whole text, wherever it is cut.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from appliance.identity.policy import Action

HOLD_BACK = 64  # visible characters: no rule looks further
RULES = ("secret", "nir", "iban", "card", "siret", "siren", "phone", "email", "injection")


@dataclass(frozen=True, slots=True)
class Findings:
    """What the rules found in one text."""

    flags: tuple[str, ...]  # names of the rules that matched, in the order of RULES
    refuse: str | None  # the first of them whose action is `refuse`
    text: str  # the text, with the matches of rules whose action is `mask` replaced


class Guard:
    """The rules of one direction and what to do about each. Immutable, shared by all requests.

    A rule that `actions` does not name is flagged; `pass` switches it off. `injection` cannot be
    masked.
    """

    def __init__(
        self, actions: Mapping[str, Action], phrases: Iterable[str] | None = None
    ) -> None:
        raise NotImplementedError

    @property
    def holds(self) -> bool:
        """Whether a stream must be held back: a rule masks or refuses."""
        raise NotImplementedError

    def check(self, text: str) -> Findings:
        """Return what the rules say of a whole text."""
        raise NotImplementedError


class Window:
    """Text of one answer as it comes, scanned across the borders of its chunks.

    A guard that holds nothing: call `flag` with each chunk and `end` once. Else: send what `mask`
    returns, and stop at once when `refused` is set.
    """

    def __init__(self, guard: Guard) -> None:
        self.found: set[str] = set()
        self.refused: str | None = None
        raise NotImplementedError

    def flag(self, text: str) -> None:
        """Scan what passes through."""

    def end(self) -> None:
        """Scan the end of what passed through."""

    def mask(self, text: str, *, last: bool) -> str:
        """Return what may leave now; up to HOLD_BACK visible characters stay."""
        raise NotImplementedError
