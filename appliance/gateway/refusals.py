"""Records of refusals, so that a flood of requests is no flood of records. Pure.

Before identity nobody is known: counters only, one summary per source network and minute. After
it: the first `FIRST` refusals of a subject in a minute are facts of their own, the others one
fact with a count when the minute is over. Both tables are bounded; what has no place is counted
under `others`.
"""

import ipaddress
from collections import Counter
from collections.abc import Callable

from appliance.audit.event import FACTS, Fact, Kind, fact

MINUTE = 60.0  # seconds
FIRST = 5
SUBJECTS_MAX, NETWORKS_MAX = 1_000, 200
OTHERS = "others"
_PREFIX = {4: 24, 6: 48}  # bits of what counts as one network


class Refusals:
    """What was refused in this minute, by one worker."""

    def __init__(self, new_id: Callable[[], str], now: float) -> None:
        """Begin. `now`: seconds of a monotonic clock, as in all methods."""
        self._new_id = new_id
        self._since = now
        self._recorded: Counter[str] = Counter()
        self._subjects: dict[str, Counter[str]] = {}
        self._networks: dict[str, Counter[str]] = {}

    def unknown(self, address: str, code: str) -> None:
        """Count a refusal of nobody."""
        network = network_of(address)
        if network not in self._networks and len(self._networks) >= NETWORKS_MAX:
            network = OTHERS
        self._networks.setdefault(network, Counter())[code] += 1

    def known(self, subject: str, code: str, route: str) -> Fact | None:
        """Return the fact to record now, or count it for the end of the minute."""
        if self._recorded[subject] < FIRST and len(self._recorded) <= SUBJECTS_MAX:
            self._recorded[subject] += 1
            return fact(Kind.AUTHZ_DENIED, subject, self._new_id(), reason=code, route=route)
        if subject not in self._subjects and len(self._subjects) >= SUBJECTS_MAX:
            subject = OTHERS
        self._subjects.setdefault(subject, Counter())[code] += 1
        return None

    def due(self, now: float, *, last: bool = False) -> list[Fact]:
        """Return the summaries of the minute, once it is over or the worker stops."""
        if now - self._since < MINUTE and not last:
            return []
        denied, unknown = FACTS[Kind.AUTHZ_DENIED], FACTS[Kind.AUTH_DENIED]
        found = [
            denied(actor=subject, id=self._new_id(), data=_counts(codes))
            for subject, codes in self._subjects.items()
        ]
        found += [
            unknown(actor="anonymous", id=self._new_id(), data=_counts(codes, network=name))
            for name, codes in self._networks.items()
        ]
        self._since = now
        self._recorded.clear()
        self._subjects, self._networks = {}, {}
        return found


def network_of(address: str) -> str:
    """Return the network of an address, or `local` for what came over no network."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "local"
    prefix = _PREFIX[parsed.version]
    return str(ipaddress.ip_network((parsed, prefix), strict=False))


def _counts(codes: Counter[str], **more: str) -> dict[str, str | int]:
    return {"count": codes.total(), **dict(codes.most_common(10)), **more}
