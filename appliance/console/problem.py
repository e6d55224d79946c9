"""A refusal as a page shows it: what happened, what it means, what to do, the code."""

from dataclasses import dataclass

from appliance.errors import CODES, ApplianceError, Explanation

_DEFAULT = "CM-NET-00"
_AGAIN = frozenset({429, 502, 503, 504})
_ICONS = {
    "BUD": "icon:wallet",
    "FIL": "icon:shield-alert",
    "DRT": "icon:lock-keyhole",
    "IDE": "icon:user-x",
    "DOC": "icon:file-x",
    "MOD": "icon:cpu",
    "JRN": "icon:server-off",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One refusal. Texts are msgids, except `detail`."""

    code: str
    status: int
    title: str
    meaning: str
    remedy: str
    detail: str = ""
    retry: int = 0  # seconds
    record: int | None = None  # number of the refusal in the log
    again: bool = False  # trying again makes sense

    @property
    def kind(self) -> str:
        """Return the class of the notice."""
        return "warn" if self.code.startswith("CM-FIL") else "bad"

    @property
    def icon(self) -> str:
        """Return the icon of the code's domain."""
        return _ICONS.get(self.code[3:6], "icon:circle-alert")


def explain(
    code: str, *, status: int = 0, retry: int = 0, record: int | None = None
) -> Problem:
    """Return what the table of codes says."""
    known: Explanation = CODES.get(code, CODES[_DEFAULT])
    shown = status or known.status
    return Problem(
        code if code in CODES else _DEFAULT,
        shown,
        known.title,
        known.meaning,
        known.remedy,
        retry=retry,
        record=record,
        again=shown in _AGAIN,
    )


def of_error(error: ApplianceError) -> Problem:
    """Return what a person is told about an expected failure."""
    return explain(error.code)
