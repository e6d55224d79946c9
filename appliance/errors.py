"""The error base class, the kinds that every domain shares, and the one table of codes.

Other errors are subclassed next to the code that raises them; each names its code, and the table
says what a person is told. Domain code knows no HTTP beyond that: the edge reads `status` here.
"""

from dataclasses import dataclass
from typing import ClassVar


class ApplianceError(Exception):
    """Expected failure, safe to show to the caller. Anything else is a bug and answers 500."""

    code: ClassVar[str] = "CM-NET-00"


class FormatError(ApplianceError):
    """Bytes that do not follow the format. Never raised for well-formed but false claims."""

    code = "CM-NET-01"


class VerificationError(ApplianceError):
    """A well-formed claim that is false. The message says which check failed."""

    code = "CM-JRN-04"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a code means. Texts are French msgids; the catalogue has the English."""

    status: int  # HTTP
    title: str  # what happened
    meaning: str
    remedy: str  # possible for the person who reads it


CODES: dict[str, Explanation] = {
    "CM-NET-00": Explanation(
        500, "Erreur interne", "Le service a rencontré un défaut.", "Signalez le code à l’exploitant."
    ),
    "CM-NET-01": Explanation(
        400,
        "Demande illisible",
        "Un champ manque, n’est pas permis ou n’a pas la bonne forme.",
        "Corrigez la demande ; le message dit où.",
    ),
    "CM-JRN-04": Explanation(
        409,
        "Preuve refusée",
        "Ce qui a été présenté ne correspond pas au journal.",
        "Gardez le fichier et prévenez le RSSI.",
    ),
}
