"""What kind of answer a question asks for, and whether a sentence holds one. Pure.

Cues only: a wrong one costs a quarter of a point among sentences that score alike.
"""

import re
import unicodedata

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
_CASELESS = {"date", "number", "cause"}


def expected(question: str) -> str | None:
    """Return the kind of answer that a question asks for."""
    asked = _plain(question).lower()
    found = [
        (match.start(), kind) for kind, cue in _KINDS.items() if (match := cue.search(asked))
    ]
    return min(found)[1] if found else None


def holds(kind: str | None, sentence: str, question: str) -> bool:
    """Whether a sentence has something of a kind that the question does not have itself."""
    if kind is None:
        return False
    text, asked = _plain(sentence), _plain(question).lower()
    text = text.lower() if kind in _CASELESS else text
    return any(match[0].lower() not in asked for match in _CUES[kind].finditer(text))


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text.replace("’", "'"))
    return "".join(c for c in decomposed if not unicodedata.combining(c))
