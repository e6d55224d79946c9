"""What kind of answer a question asks for, and whether a sentence holds one. Pure.

Cues only: a wrong one costs a quarter of a point among sentences that score alike.
"""

import re
import unicodedata
from dataclasses import dataclass

_MEASURES = (
    "nombre|montant|seuil|taux|prix|duree|delai|superficie|population|taille|hauteur|longueur|"
    "distance|pourcentage|age|budget|cout|plafond|quota|numero|somme|effectif"
)
_PEOPLE = (
    "homme|femme|personne|auteur|president|roi|reine|ministre|directeur|service|agent|"
    "responsable|nom"
)
_PLACES = "pays|ville|lieu|region|endroit|batiment|salle|adresse|bureau"
_KINDS = {
    kind: re.compile(rf"\b(?:{cue})\b")
    for kind, cue in {
        "date": r"(?:depuis |jusqu'a |a partir de )?quand|quelle (?:date|annee|epoque)|"
        r"quel (?:jour|mois|siecle)",
        "number": r"combien|quel(?:le)?s? (?:est |sont |etait )?(?:le |la |les |l')?"
        rf"(?:{_MEASURES})",
        "person": rf"qui|quel(?:le)?s? (?:{_PEOPLE})",
        "place": rf"ou|quel(?:le)?s? (?:{_PLACES})",
        "cause": r"pourquoi|quelles? (?:est |sont )?(?:la |les )?(?:raisons?|causes?)|"
        r"a cause de quoi|dans quel but",
    }.items()
}
_MONTHS = "janvier|fevrier|mars|avril|mai|juin|juillet|aout|septembre|octobre|novembre|decembre"
_SPOKEN = "deux|trois|quatre|cinq|six|sept|huit|neuf|dix|douze|quinze|vingt|trente|cent|mille"
_CUES = {
    kind: re.compile(cue)
    for kind, cue in {
        "date": r"\b(?:1[0-9]{3}|20[0-9]{2}|[0-9]{1,2}/[0-9]{1,2}|siecle|lundi|mardi|mercredi|"
        rf"jeudi|vendredi|{_MONTHS})\b",
        "number": rf"[0-9]|\b(?:{_SPOKEN}|moitie|tiers|quart|double)\b",
        "person": r"(?<=[a-z,;:'] )[A-Z][\w-]+|\b[dl]'[A-Z][\w-]+",
        "place": r"\b(?:a|au|aux|en|dans|de|du|vers|chez|rue|place|avenue|batiment|salle|"
        r"bureau|etage) (?:la |le |l'|les )?[A-Z0-9]",
        "cause": r"\b(?:parce que?|car|afin|pour|en raison|a cause|grace|puisque?|comme|"
        r"du fait|suite a|permet|permettre)\b",
    }.items()
}
_ACCENTED = "àâäáãåçéèêëíîïìñóôöòõúùûüýÿ"
_BARE = "aaaaaaceeeeiiiinooooouuuuyy"
_PLAIN = str.maketrans(
    f"{_ACCENTED}{_ACCENTED.upper()}’", f"{_BARE}{_BARE.upper()}'", "\u0300\u0301\u0308"
)
_CASELESS = {"date", "number", "cause"}


@dataclass(frozen=True, slots=True)
class Expected:
    """What a question asks for."""

    kind: str | None
    asked: str  # the question, plain and in lower case

    def is_in(self, sentence: str) -> bool:
        """Whether a sentence has something of the kind that the question does not have."""
        if self.kind is None:
            return False
        text = _plain(sentence)
        text = text.lower() if self.kind in _CASELESS else text
        found = _CUES[self.kind].finditer(text)
        return any(match[0].lower() not in self.asked for match in found)


def expected(question: str) -> Expected:
    """Return the kind of answer that a question asks for."""
    asked = _plain(question).lower()
    found = [
        (match.start(), kind) for kind, cue in _KINDS.items() if (match := cue.search(asked))
    ]
    return Expected(min(found)[1] if found else None, asked)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).translate(_PLAIN)
