"""Rules over text: secrets, French and European personal data, injection phrases.

A text is folded first (compatibility forms, look-alikes and digits of other scripts to ASCII,
invisible characters out), places kept, so that what is masked is what was written. One RE2 set
says which rules may match; only those are searched, and their checksums verified.

What begins at a character is decided by at most `HOLD_BACK` visible characters after it, and
both a whole text and a stream pass the same scanner: cut anywhere, the result is the same.
"""

import re
from collections.abc import Iterable, Mapping

import ahocorasick_rs
import msgspec
import re2  # type: ignore[import-untyped]

from appliance.errors import FormatError
from appliance.gateway.cover import Cover
from appliance.gateway.folding import fold
from appliance.gateway.phrases import PHRASES
from appliance.gateway.rules import BEGUN, PATTERNS, Match
from appliance.identity.policy import Action

HOLD_BACK = 64  # visible characters: no rule looks further
RULES = ("secret", "nir", "iban", "card", "siret", "siren", "phone", "email", "injection")
_CONTEXT = 4  # bytes before a match that a rule may look at
_SEVERITY = {"pass": 0, "flag": 1, "mask": 2, "refuse": 3}
_FLAG, _REFUSE = 1, 3
_BATCH = 256  # characters: a scan costs the same for 6 as for 60
_MEMORY = 64 << 20  # of an automaton: past it a set says « no match » without a word
_LISTENED = bytes(b" "[0] if chr(b).isspace() else b for b in bytes(range(256)).lower())

# Most of what an engine says: words, without a digit or sign that a match needs.
_QUIET = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿ ,.;!?'’()«»\n]*")
_COUNTRY = re.compile(r"\b[^\W\d_]{2} \Z")  # two letters, which may begin an IBAN
# Words that make a secret of what follows.
_MAY_BEGIN = re.compile(r"(?i:mot\b|cl[eé]\b|bearer|basic|pass|pwd|mdp|key|token|secret|api\b)")


class Findings(msgspec.Struct, frozen=True, gc=False):
    """What the rules found in one text."""

    flags: tuple[str, ...]  # names of the rules that matched, in the order of RULES
    refuse: str | None  # the first of them whose action is `refuse`
    text: str  # the text, with the matches of rules whose action is `mask` replaced


def check_actions(actions: Mapping[str, str]) -> None:
    """Check the actions of one direction.

    Raises:
        FormatError: An unknown rule or action, or phrases to mask.
    """
    if unknown := actions.keys() - set(RULES):
        raise FormatError(f"unknown guard rule: {min(unknown)}")
    if unknown := set(actions.values()) - _SEVERITY.keys():
        raise FormatError(f"unknown guard action: {min(unknown)}")
    if actions.get("injection") == "mask":
        raise FormatError("injection can be flagged or refused, not masked")


class Guard:
    """The rules of one direction and what to do about each. Immutable, shared by all requests.

    A rule that `actions` does not name is flagged; `pass` switches it off.

    Raises:
        FormatError: The actions are not as `check_actions` wants them.
    """

    def __init__(self, actions: Mapping[str, Action], phrases: Iterable[str] = PHRASES) -> None:
        check_actions(actions)
        self.severity = {rule: _SEVERITY[actions.get(rule, "flag")] for rule in RULES}
        # Whether a stream must be held back: a rule masks or refuses.
        self.holds = max(self.severity.values()) > _FLAG
        on = [p for p in PATTERNS if self.severity[p.rule]]
        hints = list(dict.fromkeys(p.hint for p in on))
        self._of_hint = [[i for i, p in enumerate(on) if p.hint == hint] for hint in hints]
        self._patterns = [(p, re2.compile(p.pattern.encode(), _options())) for p in on]
        self._set = re2.Set.SearchSet(_options())
        for hint in hints:
            self._set.Add(hint.encode())
        self._set.Compile()
        self._begun = re2.compile(BEGUN.encode(), _options())
        heard = {listened(fold(phrase).text) for phrase in phrases}
        assert all(len(phrase) < HOLD_BACK for phrase in heard)
        on_phrases = sorted(heard) if self.severity["injection"] else []
        self._phrases = ahocorasick_rs.BytesAhoCorasick(on_phrases) if on_phrases else None

    def check(self, text: str) -> Findings:
        """Return what the rules say of a whole text."""
        folded = fold(text).text
        heard = self.hears(listened(folded))
        if not heard and not self._set.Match(folded):
            return Findings((), None, text)
        window = Window(self)
        masked = text
        if self.holds:
            masked = window.mask(text, last=True)
        else:
            window.glance(folded, heard=heard)
        flags = tuple(rule for rule in RULES if rule in window.found)
        refuse = next((rule for rule in flags if self.severity[rule] == _REFUSE), None)
        return Findings(flags, refuse, masked)

    def hears(self, text: bytes) -> bool:
        """Whether a phrase is in a text in the form of `listened`."""
        return bool(self._phrases and self._phrases.find_matches_as_indexes(text))

    def undecided(self, text: bytes) -> int:
        """Return where the end begins in which more text may still make a match."""
        begun = self._begun.search(text, max(len(text) - HOLD_BACK + 1, 0))
        return int(begun.start()) if begun else len(text)

    def candidates(self, text: bytes) -> list[int]:
        """Return the numbers of the patterns that may match."""
        return [i for hint in self._set.Match(text) or () for i in self._of_hint[hint]]

    def matches(
        self, text: bytes, number: int, since: int, limit: int
    ) -> tuple[list[Match], int]:
        """Return the matches of a pattern that begin in a range, and where to search on."""
        pattern, compiled = self._patterns[number]
        found: list[Match] = []
        while since < limit and (match := compiled.search(text, since)):
            start, end = match.span()
            if start >= limit:
                break
            stop = pattern.judge(text, start, end)
            if stop > 0:
                found.append(Match(start, stop, pattern))
            since = max(abs(stop), start + 1)
        return found, max(since, limit)


class Window:
    """Text of one answer as it comes, scanned across the borders of its chunks.

    A guard that holds nothing: call `flag` with each chunk and `end` once. Else: send what
    `mask` returns, and stop at once when `refused` is set.
    """

    def __init__(self, guard: Guard) -> None:
        self.found: set[str] = set()
        self.refused: str | None = None
        self._guard = guard
        self._pending = ""  # not decided yet
        self._before: str | bytes = b""  # context of what is pending; bytes are folded
        self._since: dict[int, int] = {}  # pattern to where it searches on
        self._ends = [0, 0, 0, 0]  # severity to the end of the last match
        self._cover = Cover()
        self._busy = False  # a match goes on into what is pending
        self._heard = b""
        self._unheard: list[str] = []

    def glance(self, folded: bytes, *, heard: bool) -> None:
        """Scan a whole text of which nothing is to be masked."""
        self._search(folded, 0, len(folded))
        if heard:
            self._note("injection")

    def flag(self, text: str) -> None:
        """Scan what passes through: nobody waits, so many chunks at a time."""
        self._pending += text
        if len(self._pending) >= _BATCH:
            self._decide("", last=False)

    def end(self) -> None:
        """Scan the end of what passed through."""
        self._decide("", last=True)

    def mask(self, text: str, *, last: bool) -> str:
        """Return what may leave now; up to HOLD_BACK visible characters stay."""
        if last or self._busy:
            return self._decide(text, last=last)
        seen = self._pending + text
        cut = max(seen.rfind(" "), seen.rfind("\n")) + 1
        if cut == len(seen) and (country := _COUNTRY.search(seen)):
            cut = country.start()
        quiet = _QUIET.fullmatch(seen) and len(seen) - cut < HOLD_BACK
        if not quiet or _MAY_BEGIN.search(seen):
            return self._decide(text, last=False)
        free, self._pending = seen[:cut], seen[cut:]
        if free:
            self._before = free[-_CONTEXT:]
            self._unheard.append(free)
        return free

    def _decide(self, text: str, *, last: bool) -> str:
        self._pending += text
        folded = fold(self._pending)
        if isinstance(self._before, str):
            self._before = fold(self._before).text
        shift = len(self._before)
        data = self._before + folded.text
        limit = len(data) if last else max(self._guard.undecided(data), shift)
        while folded.splits(limit - shift):
            limit -= 1
        decided = limit - shift
        masks = self._search(data, shift, limit)
        free = self._cover.write(self._pending, folded, decided, masks)
        self._unheard.append(self._pending[: folded.start(decided)])
        self._listen(last=last)
        self._pending = self._pending[folded.start(decided) :]
        self._before = data[max(limit - _CONTEXT, 0) : limit]
        self._since = {i: s - decided for i, s in self._since.items() if s > decided}
        self._ends = [end - decided for end in self._ends]
        self._busy = bool(self._since) or max(self._ends) > 0 or self._cover.active
        return free

    def _search(self, data: bytes, shift: int, limit: int) -> list[Match]:
        """Note what begins before the limit; return what is to be masked, places less shift."""
        found: list[Match] = []
        for number in self._guard.candidates(data):
            since = max(self._since.get(number, 0), 0) + shift
            more, since = self._guard.matches(data, number, since, limit)
            self._since[number] = since - shift
            found += more
        masks: list[Match] = []
        for start, end, pattern in sorted(found, key=lambda m: (m.start, -m.end)):
            severity = self._guard.severity[pattern.rule]
            if end - shift <= max(self._ends[severity:]):
                continue  # inside another one: the SIREN of a SIRET
            self._ends[severity] = end - shift
            self._note(pattern.rule)
            if severity > _FLAG:
                masks.append(Match(start - shift, end - shift, pattern))
        return masks

    def _listen(self, *, last: bool) -> None:
        """Compare what was decided with the phrases, many pieces at a time."""
        if not last and sum(map(len, self._unheard)) < _BATCH:
            return
        self._heard = listened(self._heard + fold("".join(self._unheard)).text)
        self._unheard = []
        if self._guard.hears(self._heard):
            self._note("injection")
        self._heard = self._heard[-HOLD_BACK:]

    def _note(self, rule: str) -> None:
        self.found.add(rule)
        if self._guard.severity[rule] == _REFUSE:
            self.refused = self.refused or rule


def listened(text: bytes) -> bytes:
    """Return the form in which phrases are compared: lower case, single spaces."""
    lower = text.translate(_LISTENED)
    if b"  " not in lower:
        return lower
    return b" ".join(lower.split()) + (b" " if lower.endswith(b" ") else b"")


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    return options
