"""What is undone when an installation stops. Pure.

A running release is never deleted, nor stopped for the sake of one that failed: when an earlier
release is installed, the name `current` goes back to it. A first installation that stops leaves
nothing that answers: its own units are stopped, and everything done is kept to go on from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.install.phases import BY_NAME, PHASES, State

FIRST_OPEN = BY_NAME["data"].number  # from here on units of ours run
OWN_UNITS = ("haproxy.service", "casemate-*.service")


@dataclass(frozen=True, slots=True)
class Retreat:
    """What to undo, in this order."""

    current: int | None = None  # release that `current` must name
    stop: tuple[str, ...] = ()  # units
    start: tuple[str, ...] = ()  # units that must run the earlier release again
    again: tuple[str, ...] = ()  # phases that made what is undone, and those that judged it

    @property
    def words(self) -> tuple[str, str]:
        """Say it, in French and in English."""
        if self.current is not None:
            return (
                f"Retour à la livraison n° {self.current}, qui n’a pas été touchée.",
                f"Back to release {self.current}, which was not touched.",
            )
        if self.stop:
            return (
                "Rien ne répond aux usagers ; ce qui est fait est gardé.",
                "Nothing answers users; what is done is kept.",
            )
        return "Rien n’a été modifié.", "Nothing was changed."


def plan(state: State, failed: str, linked: int | None) -> Retreat:
    """Decide what to undo.

    Args:
        state: When it stopped.
        failed: Name of the phase that failed.
        linked: Release that `current` names now.
    """
    if state.installed is not None:
        earlier = state.installed.release_seq
        if linked in {None, earlier}:
            return Retreat()
        return Retreat(current=earlier, start=OWN_UNITS, again=_since("system"))
    if BY_NAME[failed].number >= FIRST_OPEN:
        return Retreat(stop=OWN_UNITS, again=_since("data"))
    return Retreat()


def _since(name: str) -> tuple[str, ...]:
    return tuple(phase.name for phase in PHASES if phase.number >= BY_NAME[name].number)


def commands(retreat: Retreat) -> Sequence[tuple[str, ...]]:
    """Return what systemd is told."""
    found: list[tuple[str, ...]] = []
    if retreat.stop:
        found.append(("systemctl", "stop", *retreat.stop))
    if retreat.start:
        found.append(("systemctl", "try-restart", *retreat.start))
    return found
