from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import ApplianceError, FormatError
from appliance.ledger import admission
from appliance.ledger.admission import Admission, LifecycleError, StoppedError
from appliance.ledger.budget import BudgetError, Limit
from appliance.ledger.period import Calendar, Period, Starts

CALENDAR = Calendar("Europe/Paris")
DAY = 86_400_000_000  # microseconds
NOON = 20_000 * DAY + DAY // 2
WHO = "ada", 1


@pytest.fixture
def state() -> Admission:
    return Admission(CALENDAR)


def digest(text: str) -> bytes:
    return text.encode().ljust(32, b".")


# places


def test_an_event_sent_again_has_its_first_place(state: Admission) -> None:
    assert [state.place(name, digest(name)) for name in "abc"] == [0, 1, 2]
    assert state.known("b", digest("b")) == 1
    assert state.known("d", digest("d")) is None


def test_an_id_that_names_another_event_is_refused(state: Admission) -> None:
    state.place("a", digest("a"))
    with pytest.raises(LifecycleError, match="another event"):
        state.known("a", digest("b"))


def test_the_oldest_ids_and_requests_are_forgotten_together(
    state: Admission, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "IDS_KEPT", 4)
    for number in range(4):
        state.begin(f"r{number}", {"site": 1}, WHO, NOON)
        state.place(f"i{number}", digest("i"))
        state.end(f"r{number}", {})
        state.place(f"t{number}", digest("t"))
    assert list(state.places) == ["i2", "t2", "i3", "t3"]
    assert list(state.requests) == ["r2", "r3"]


# requests


def test_a_request_is_opened_once_also_after_it_ended(state: Admission) -> None:
    state.begin("r", {"site": 1}, WHO, NOON)
    with pytest.raises(LifecycleError, match="has an intent"):
        state.begin("r", {"site": 1}, WHO, NOON)
    state.end("r", {})
    with pytest.raises(LifecycleError, match="has an intent"):
        state.begin("r", {"site": 1}, WHO, NOON)


def test_a_request_ends_once(state: Admission) -> None:
    state.begin("r", {"site": 5}, WHO, NOON)
    state.end("r", {"site": 3})
    with pytest.raises(LifecycleError, match="not open"):
        state.end("r", {"site": 3})
    assert state.standing("site", NOON).used == 3


def test_an_end_without_an_intent_is_refused(state: Admission) -> None:
    with pytest.raises(LifecycleError, match="not open"):
        state.end("r", {})


def test_a_request_that_names_no_budget_is_refused(state: Admission) -> None:
    with pytest.raises(LifecycleError, match="no budget"):
        state.begin("r", {}, WHO, NOON)


def test_a_default_is_no_budget(state: Admission) -> None:
    with pytest.raises(LifecycleError, match="default"):
        state.begin("r", {"user:*": 1}, WHO, NOON)


def test_what_was_not_reserved_is_not_spent(state: Admission) -> None:
    state.begin("r", {"site": 5}, WHO, NOON)
    with pytest.raises(LifecycleError, match="did not reserve"):
        state.end("r", {"team:/equipes/rh": 1})
    assert "r" in state.open


def test_one_budget_of_several_that_is_spent_refuses_all(state: Admission) -> None:
    state.limit("site", Limit(100, Period.MONTH, hard=True))
    state.limit("user:ada", Limit(5, Period.DAY, hard=True))
    with pytest.raises(BudgetError, match="user:ada"):
        state.begin("r", {"site": 6, "user:ada": 6}, WHO, NOON)
    assert state.standing("site", NOON).reserved == 0
    assert not state.open


def test_a_budget_that_nobody_named_follows_the_latest_default(state: Admission) -> None:
    state.limit("user:*", Limit(10, Period.DAY, hard=True))
    state.begin("r1", {"user:ada": 8}, WHO, NOON)
    with pytest.raises(BudgetError):
        state.begin("r2", {"user:ada": 3}, WHO, NOON)
    state.limit("user:*", Limit(20, Period.DAY, hard=True))
    state.begin("r2", {"user:ada": 3}, WHO, NOON)
    with pytest.raises(BudgetError):
        state.begin("r3", {"user:bob": 21}, WHO, NOON)


def test_a_limit_of_its_own_wins_over_the_default(state: Admission) -> None:
    state.limit("user:ada", Limit(50, Period.DAY, hard=True))
    state.limit("user:*", Limit(10, Period.DAY, hard=True))
    state.begin("r", {"user:ada": 40}, WHO, NOON)
    assert state.standing("user:ada", NOON).limit == 50


def test_without_a_default_a_budget_is_counted_and_not_free(state: Admission) -> None:
    state.begin("r", {"user:ada": 10**9}, WHO, NOON)
    assert state.standing("user:ada", NOON).reserved == 10**9
    assert state.standings(NOON).keys() == {"user:ada"}
    assert state.standings(NOON, ["site"]).keys() == {"site"}
    assert state.standings(NOON, []) == {}


def test_a_new_period_begins_with_nothing_used(state: Admission) -> None:
    state.limit("site", Limit(10, Period.DAY, hard=True))
    state.begin("r1", {"site": 10}, WHO, NOON)
    with pytest.raises(BudgetError):
        state.begin("r2", {"site": 1}, WHO, NOON)
    state.begin("r2", {"site": 10}, WHO, NOON + DAY)
    state.end("r1", {"site": 10})  # counted where it was reserved
    assert state.standing("site", NOON + DAY).used == 0
    assert state.standing("site", NOON).used == 10


# the stop switch


def test_one_person_stops_and_two_start(state: Admission) -> None:
    state.stop("rssi")
    with pytest.raises(StoppedError):
        state.begin("r", {"site": 1}, WHO, NOON)
    state.approve("rssi")
    with pytest.raises(LifecycleError, match="another person"):
        state.approve("rssi")
    with pytest.raises(StoppedError):
        state.begin("r", {"site": 1}, WHO, NOON)
    state.approve("ada")
    state.begin("r", {"site": 1}, WHO, NOON)


def test_approvals_from_before_a_stop_do_not_count(state: Admission) -> None:
    state.stop("rssi")
    state.approve("ada")
    state.stop("bob")
    state.approve("rssi")
    assert state.stopped_by == "bob"
    state.approve("ada")
    assert not state.stopped_by


def test_nobody_approves_a_service_that_runs(state: Admission) -> None:
    with pytest.raises(LifecycleError, match="not stopped"):
        state.approve("ada")


def test_nobody_is_no_person(state: Admission) -> None:
    with pytest.raises(LifecycleError, match="person"):
        state.stop("")
    state.stop("rssi")
    with pytest.raises(LifecycleError, match="person"):
        state.approve("")


def test_what_is_open_may_end_while_the_service_is_stopped(state: Admission) -> None:
    state.begin("r", {"site": 1}, WHO, NOON)
    state.stop("rssi")
    state.end("r", {"site": 1})
    assert not state.open


# snapshots


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"budgets":1}'])
def test_bytes_that_are_no_snapshot_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="snapshot"):
        Admission.from_bytes(data, CALENDAR)


# against a model that keeps everything and recomputes everything

NAMES = ("site", "team:/equipes/rh", "user:ada", "user:bob")
Step = Callable[[Admission], None]


@dataclass
class Model:
    """Every request that was admitted; counts are sums over them."""

    requests: list[tuple[str, Starts, dict[str, int]]] = field(default_factory=list)
    spent: dict[str, dict[str, int]] = field(default_factory=dict)  # of those that ended
    limits: dict[str, Limit] = field(default_factory=dict)
    stopped: bool = False
    approved: set[str] = field(default_factory=set)

    def counts(self, name: str, period: Period, start: int) -> tuple[int, int]:
        used = reserved = 0
        for request, starts, amounts in self.requests:
            if name in amounts and starts[period] == start:
                if request in self.spent:
                    used += self.spent[request].get(name, 0)
                else:
                    reserved += amounts[name]
        return used, reserved

    def limit_of(self, name: str) -> Limit | None:
        return self.limits.get(name) or self.limits.get(name.partition(":")[0] + ":*")

    def begins(self, request: str, amounts: dict[str, int], starts: Starts) -> bool:
        if self.stopped or not amounts or any(request == r for r, _, _ in self.requests):
            return False
        for name, amount in amounts.items():
            limit = self.limit_of(name)
            if limit and limit.hard:
                counts = self.counts(name, limit.period, starts[limit.period])
                if sum(counts) + amount > limit.amount:
                    return False
        self.requests.append((request, starts, amounts))
        return True

    def ends(self, request: str, spend: dict[str, int]) -> bool:
        for known, _, amounts in self.requests:
            if (
                known == request
                and request not in self.spent
                and spend.keys() <= amounts.keys()
            ):
                self.spent[request] = spend
                return True
        return False

    def approves(self, actor: str) -> bool:
        if not self.stopped or actor in self.approved:
            return False
        self.approved.add(actor)
        if len(self.approved) == 2:
            self.stopped = False
        return True


amounts = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 60), max_size=3)
requests = st.integers(0, 12).map("r{}".format)
limits = st.builds(
    Limit,
    st.integers(0, 150),
    st.sampled_from(list(Period)),
    st.sampled_from([True, True, False]),
)
steps = st.one_of(
    st.tuples(st.just("begin"), requests, amounts),
    st.tuples(st.just("begin"), requests, amounts),
    st.tuples(st.just("end"), requests, amounts),
    st.tuples(st.just("limit"), st.sampled_from([*NAMES, "user:*", "team:*"]), limits),
    st.tuples(st.just("wait"), st.integers(0, 40 * 24).map(lambda hours: hours * DAY // 24)),
    st.tuples(st.just("stop"), st.just("rssi")),
    st.tuples(st.just("approve"), st.sampled_from(["rssi", "ada", "bob"])),
)


def admitted(state: Admission, change: Callable[..., None], *args: object) -> bool:
    """Apply, and place an event when it was admitted; after a refusal nothing has changed."""
    before = state.to_bytes()
    try:
        change(*args)
    except ApplianceError:
        assert state.to_bytes() == before
        return False
    name = f"e{state.size}"
    state.place(name, digest(name))
    return True


def play(state: Admission, model: Model, script: list[tuple[object, ...]]) -> Iterator[int]:
    """Do each step on both; yield the time after each."""
    now = NOON
    for step in script:
        match step:
            case ["begin", str(request), dict(wanted)]:
                said = model.begins(request, wanted, CALENDAR.starts(now))
                assert admitted(state, state.begin, request, wanted, WHO, now) == said
            case ["end", str(request), dict(spend)]:
                assert admitted(state, state.end, request, spend) == model.ends(request, spend)
            case ["limit", str(name), Limit() as limit]:
                model.limits[name] = limit
                assert admitted(state, state.limit, name, limit)
            case ["wait", int(passed)]:
                now += passed
            case ["stop", str(actor)]:
                model.stopped, model.approved = True, set()
                assert admitted(state, state.stop, actor)
            case ["approve", str(actor)]:
                assert admitted(state, state.approve, actor) == model.approves(actor)
            case _:
                raise AssertionError(step)
        yield now


@settings(max_examples=400, deadline=None)
@given(st.lists(steps, max_size=40))
def test_decisions_and_counts_are_those_of_the_model(script: list[tuple[object, ...]]) -> None:
    state, model = Admission(CALENDAR), Model()
    for now in play(state, model, script):
        for name in NAMES:
            found = state.standing(name, now)
            period = Period.named(found.period)
            start = CALENDAR.starts(now)[period]
            assert (found.used, found.reserved) == model.counts(name, period, start)
            assert found.limit == getattr(model.limit_of(name), "amount", None)
        assert state.open.keys() == {
            request for request, _, _ in model.requests if request not in model.spent
        }
        assert bool(state.stopped_by) == model.stopped


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=40), st.integers(0, 40))
def test_a_state_that_went_through_bytes_goes_on_as_the_one_that_did_not(
    script: list[tuple[object, ...]], crash: int
) -> None:
    whole, model = Admission(CALENDAR), Model()
    for _ in play(whole, model, script[:crash]):
        pass
    restarted = Admission.from_bytes(whole.to_bytes(), CALENDAR)
    intents = {index: request for request, index in whole.requests.items()}
    for name, (index, hashed) in whole.places.items():
        restarted.recall(index, name, hashed, intents.get(index))
    assert restarted == whole
    again = Model(**vars(model))
    again.requests, again.spent = list(model.requests), dict(model.spent)
    again.limits, again.approved = dict(model.limits), set(model.approved)
    for _ in play(whole, model, script[crash:]):
        pass
    for _ in play(restarted, again, script[crash:]):
        pass
    assert restarted == whole
