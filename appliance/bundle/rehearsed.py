"""On what a profile was rehearsed. Pure.

`rehearsed.json` beside this file travels with the release and lists rehearsals whose result is
in the repository. Until one was on a GPU, whoever plans, builds, checks, installs or reads the
report of the profile `gpu` is told so.
"""

from collections.abc import Iterable
from importlib.resources import files
from typing import Literal

import msgspec

from appliance.errors import FormatError

FILE = "rehearsed.json"
FRENCH = "non répété sur un GPU"
ENGLISH = "not rehearsed on a GPU"


class Rehearsal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rehearsal that was carried through, on real cards for the profile `gpu`."""

    profile: Literal["cpu", "gpu"]
    date: str  # YYYY-MM-DD
    machine: str  # in words, with its cards
    result: str  # its file, in the repository


def decode(data: bytes) -> list[Rehearsal]:
    """Return the rehearsals that the bytes list.

    Raises:
        FormatError: They are no such list, or an entry says nothing.
    """
    try:
        found = msgspec.json.decode(data, type=list[Rehearsal])
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise FormatError(f"{FILE}: not a list of rehearsals: {exc}") from exc
    if not all(one.date and one.machine and one.result for one in found):
        raise FormatError(f"{FILE}: a rehearsal without date, machine or result")
    return found


def recorded() -> list[Rehearsal]:
    """Return the rehearsals of this release."""
    return decode(files("appliance.bundle").joinpath(FILE).read_bytes())


def is_rehearsed(profile: str, found: Iterable[Rehearsal]) -> bool:
    """Tell whether nothing has to be said of a profile."""
    return profile != "gpu" or any(one.profile == profile for one in found)


def notice(profile: str, found: Iterable[Rehearsal]) -> str:
    """Return what is said of a profile, French then English; "" when nothing is."""
    if is_rehearsed(profile, found):
        return ""
    return f"Profil {profile} : {FRENCH}.\nProfile {profile}: {ENGLISH}."
