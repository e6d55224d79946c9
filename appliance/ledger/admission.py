"""Which event may come next, and whether a budget allows it. Rebuilt by replaying the log.

A request has one intent, which reserves its worst case in every budget it names, then one
terminal event, which releases the reservation and spends what was used. An event id is one
place in the log, however often it is sent. The service is running or stopped. A budget that no
change named is made at its first use; without a default it has no limit, but is counted. A
reservation stays in the periods in which it was made, also when its terminal event comes later.

After a refusal nothing has changed. Two machines that were given the same events are equal
(`==`), also when one went through `to_bytes` and `recall`: that is how a restart is tested, and
how `verify` recomputes the budgets. The ids are not in those bytes: they are those of the last
`IDS_KEPT` places of the log, and read back from it.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import msgspec

from appliance.errors import ApplianceError, FormatError
from appliance.ledger.budget import Budget, Limit, Standing, Stored, family, standing
from appliance.ledger.period import Calendar, Starts

IDS_KEPT = 200_000
UNUSED = Budget()  # stands for one that nobody named; never changed
APPROVALS = 2  # people who start the service again


class LifecycleError(ApplianceError):
    """The event contradicts what the log holds."""

    code = "CM-JRN-02"


class StoppedError(ApplianceError):
    """The service was stopped by a person; no model is asked."""

    code = "CM-MOD-05"


class Reservation(msgspec.Struct, frozen=True, array_like=True):
    """What an open request holds."""

    starts: Starts
    amounts: dict[str, int]
    actor: str
    label: int


class _Snapshot(msgspec.Struct, forbid_unknown_fields=True):
    budgets: dict[str, Stored]
    defaults: dict[str, Limit]
    open: dict[str, Reservation]
    size: int  # leaves
    stopped_by: str
    approvals: list[str]


@dataclass(slots=True)
class Admission:
    """State of the log as far as it decides about the next event."""

    calendar: Calendar = field(compare=False)
    budgets: dict[str, Budget] = field(default_factory=dict)
    defaults: dict[str, Limit] = field(default_factory=dict)  # family -> limit
    open: dict[str, Reservation] = field(default_factory=dict)  # by request
    size: int = 0  # places given
    stopped_by: str = ""  # who; nobody: running
    approvals: list[str] = field(default_factory=list)  # people, since the stop
    places: OrderedDict[str, tuple[int, bytes]] = field(default_factory=OrderedDict)
    requests: OrderedDict[str, int] = field(default_factory=OrderedDict)  # index of the intent

    # places

    def known(self, event_id: str, digest: bytes) -> int | None:
        """Return the index of an event that is in the log already.

        Args:
            event_id: Made by the client.
            digest: SHA-256 of the canonical event.

        Raises:
            LifecycleError: Its id names another event.
        """
        place = self.places.get(event_id)
        if place is None:
            return None
        if place[1] != digest:
            raise LifecycleError(f"id {event_id} names another event")
        return place[0]

    def place(self, event_id: str, digest: bytes) -> int:
        """Give an admitted event the next index, and forget the oldest."""
        index = self.size
        self.size = index + 1
        self.places[event_id] = index, digest
        if len(self.places) > IDS_KEPT:
            _, (oldest, _) = self.places.popitem(last=False)
            if self.requests and next(iter(self.requests.values())) <= oldest:
                self.requests.popitem(last=False)
        return index

    def recall(self, index: int, event_id: str, digest: bytes, request: str | None) -> None:
        """Remember an event from before the snapshot: each of the last `IDS_KEPT`, in order.

        Args:
            index: Its place, below `size`.
            event_id: Its id.
            digest: SHA-256 of the canonical event.
            request: The request that it opened, if it is an intent.
        """
        self.places[event_id] = index, digest
        if request is not None:
            self.requests[request] = index

    # requests

    def begin(
        self, request: str, amounts: dict[str, int], who: tuple[str, int], at: int
    ) -> None:
        """Open a request and reserve its worst case.

        Args:
            request: Its id, used once.
            amounts: Budget to tokens; at least one.
            who: Actor and label, for the one who has to close it.
            at: The clock of the leaf, microseconds since 1970.

        Raises:
            StoppedError: The service is stopped.
            LifecycleError: The id was used, or no budget is named.
            BudgetError: A hard limit would be passed.
        """
        if self.stopped_by:
            raise StoppedError("the service is stopped")
        if request in self.requests or request in self.open:
            raise LifecycleError(f"request {request} has an intent")
        if not amounts:
            raise LifecycleError(f"request {request} names no budget")
        starts = self.calendar.starts(at)
        checked = [self._checked(name, amount, starts) for name, amount in amounts.items()]
        self.budgets.update(
            zip(amounts, checked, strict=True)
        )  # also new ones: nothing refuses
        for budget, amount in zip(checked, amounts.values(), strict=True):
            budget.reserve(amount, starts)
        self.open[request] = Reservation(starts, amounts, *who)
        self.requests[request] = self.size

    def _checked(self, name: str, amount: int, starts: Starts) -> Budget:
        """Return a budget that can hold this amount more."""
        budget = self.budgets.get(name)
        if budget is None:
            if name.endswith(":*"):
                raise LifecycleError(f"{name} is a default, not a budget")
            budget = Budget()
        limit = budget.own or self.defaults.get(family(name))
        if limit is not None:
            budget.check(name, amount, limit, starts)
        return budget

    def end(self, request: str, spend: dict[str, int]) -> None:
        """Close a request: release its reservation, count what was used where it was made.

        Raises:
            LifecycleError: It is not open, or spends on a budget it did not reserve.
        """
        held = self.open.get(request)
        if held is None:
            raise LifecycleError(f"request {request} is not open")
        if not spend.keys() <= held.amounts.keys():
            raise LifecycleError(f"request {request} spends what it did not reserve")
        del self.open[request]
        for name, amount in held.amounts.items():
            self.budgets[name].settle(amount, spend.get(name, 0), held.starts)

    # budgets

    def limit(self, name: str, limit: Limit) -> None:
        """Give a budget, or with `family:*` those that have none of their own, a limit."""
        if name.endswith(":*"):
            self.defaults[name] = limit
        else:
            self.budgets.setdefault(name, Budget()).own = limit

    def standing(self, name: str, at: int) -> Standing:
        """Tell how a budget stands. One that was never named stands at zero."""
        budget = self.budgets.get(name, UNUSED)
        limit = budget.own or self.defaults.get(family(name))
        return standing(budget, limit, self.calendar.starts(at))

    def standings(self, at: int, names: Iterable[str] | None = None) -> dict[str, Standing]:
        """Tell how budgets stand; all that were ever named when `names` is None."""
        chosen = sorted(self.budgets) if names is None else names
        return {name: self.standing(name, at) for name in chosen}

    # the stop switch

    def stop(self, actor: str) -> None:
        """Refuse every intent from here on. Approvals given before count no more.

        Raises:
            LifecycleError: Nobody stops it.
        """
        if not actor:
            raise LifecycleError("a person stops the service")
        self.stopped_by, self.approvals = actor, []

    def approve(self, actor: str) -> None:
        """Count one person's word for starting again; the second one starts the service.

        Raises:
            LifecycleError: It is not stopped, or the same person spoke before.
        """
        if not self.stopped_by:
            raise LifecycleError("the service is not stopped")
        if not actor or actor in self.approvals:
            raise LifecycleError("another person has to approve")
        self.approvals = [*self.approvals, actor]
        if len(self.approvals) == APPROVALS:
            self.stopped_by, self.approvals = "", []

    # snapshots

    def to_bytes(self) -> bytes:
        """Return the state without the ids."""
        budgets = {name: budget.stored() for name, budget in self.budgets.items()}
        state = _Snapshot(
            budgets, self.defaults, self.open, self.size, self.stopped_by, self.approvals
        )
        return msgspec.json.encode(state)

    @classmethod
    def from_bytes(cls, data: bytes, calendar: Calendar) -> Self:
        """Return the state of a snapshot. The ids follow by `recall`.

        Raises:
            FormatError: Not a snapshot.
        """
        try:
            found = msgspec.json.decode(data, type=_Snapshot)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise FormatError(f"not a snapshot: {exc}") from exc
        budgets = {name: Budget(one.own, one.counts) for name, one in found.budgets.items()}
        return cls(
            calendar, budgets, found.defaults, found.open, found.size,
            found.stopped_by, found.approvals,
        )  # fmt: skip
