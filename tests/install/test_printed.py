from datetime import UTC, datetime

import msgspec
import pypdfium2  # type: ignore[import-untyped]
import pytest

from appliance.install.phases import PHASES
from appliance.install.printed import MONTHS, dated, moment_of, report
from appliance.install.report import Facts
from appliance.install.work import PAPER
from appliance.printing.typeset import typeset
from tests.install.test_report import FACTS, HEAD


def flat(facts: Facts) -> str:
    """Return the text of the document, its white space as single spaces."""
    with pypdfium2.PdfDocument(typeset(PAPER, report(facts, HEAD))) as document:
        pages = [page.get_textpage().get_text_bounded() for page in document]
    return " ".join("".join(pages).replace("\ufffe", "").split())


TEXT = flat(FACTS)


@pytest.mark.parametrize(
    "words",
    [
        "Procès-verbal d’installation",
        "Atelier *d’essai*",
        "2 : l’installation a été reprise",
        "23 novembre 2026 à 12 h 00 (UTC), selon l’horloge de la machine",
        "Ce qui n’a pas été mesuré • la sûreté physique",
        "1/1 S-0042 A. Martin non déclaré",
        "racine de confiance 0123 4567",
        "Mémoire échec, outrepassé 1,0 Gio",
        "Dérogations : contrôles en échec dont une personne a pris la charge",
        "Mémoire C. Vasseur Mémoire commandée",
        "repos 0 attrapée",
        "Il ne déclare aucune conformité et n’autorise rien : la décision appartient",
        "-I site -n report@casemate -s report.pdf.sig < report.pdf",
        "Pour l’installateur",
    ],
)
def test_the_document_says_what_was_found(words: str) -> None:
    assert words in TEXT


def test_each_phase_has_the_time_that_was_measured_beside_the_one_that_was_expected() -> None:
    assert f"2 Support {PHASES[1].expected // 60} min 00 s 58 s" in TEXT
    assert "Total 1 min 00 s" in TEXT


@pytest.mark.parametrize("digest", [HEAD, FACTS.release.manifest])
def test_a_digest_is_whole(digest: str) -> None:
    assert digest in "".join(TEXT.split())


def test_what_was_not_measured_comes_before_anything_else() -> None:
    assert TEXT.index("n’a pas été mesuré •") < TEXT.index("Provenance")


@pytest.mark.parametrize("claim", ["certifié", "qualifié", "conforme aux"])
def test_the_document_claims_no_conformity(claim: str) -> None:
    assert claim not in TEXT


def test_what_did_not_happen_is_said() -> None:
    bare = msgspec.structs.replace(FACTS, overrides=(), egress=(), media=(), starts=1)
    text = flat(bare)
    assert "Aucune dérogation : aucun contrôle en échec n’a été outrepassé." in text
    assert "Absence de sortie Non mesurée." in text
    assert "Aucun support n’a été lu" in text
    assert "Départs de la commande un seul" in text


def test_a_missed_control_is_in_capitals() -> None:
    missed = msgspec.structs.replace(FACTS.egress[0], positive_control=False)
    assert "repos 0 NON attrapée" in flat(msgspec.structs.replace(FACTS, egress=(missed,)))


def test_dates_are_french_words() -> None:
    assert dated("2026-08-01T23:05:09+02:00") == "1er août 2026 à 21 h 05 (UTC)"
    assert moment_of("2026-08-01T23:05:09+02:00") == [2026, 8, 1, 21, 5, 9]
    assert len(MONTHS) == 12
    assert dated(datetime(2026, 12, 25, tzinfo=UTC).isoformat()).startswith("25 décembre")
