from typing import Any

import pytest

from appliance.errors import FormatError
from appliance.install.phases import BY_NAME
from appliance.install.preflight import Check, Level, Override
from appliance.install.report import (
    NEVER_MEASURED,
    Canary,
    Carried,
    Facts,
    Lap,
    Mark,
    Tally,
    not_measured,
    page,
    told,
)
from tests.install.stage import OTHER, RELEASE

HEAD = "ef" * 32
FACTS = Facts(
    made="2026-11-23T12:00:00+00:00", operator="C. Vasseur", site_name="Atelier *d’essai*",
    marking="DIFFUSION RESTREINTE",
    domain="casemate.site.internal", profile="cpu", release=RELEASE,
    bundle_created="2026-11-20T08:00:00+00:00", starts=2,
    media=(Carried(label="1/1", serial="S-0042", handed_by="A. Martin"),),
    marks=(Mark(name="racine de confiance", value="0123 4567"),),
    laps=(Lap(number=1, name="Contrôles", seconds=2),
          Lap(number=2, name="Support", seconds=58)),
    tally=Tally(ok=40, changed=2),
    checks=(Check("memory", Level.FAIL, "Mémoire", "1,0 Gio"),
            Check("clock", Level.PASS, "Horloge", "23/11/2026")),
    overrides=(Override("memory", "C. Vasseur", "Mémoire commandée"),),
    egress=(Canary(phase="repos", attempts=0, positive_control=True),),
    not_measured=("la sûreté physique",), journal_lines=12, journal_head=HEAD,
)  # fmt: skip


def entry(event: str, **fields: Any) -> dict[str, Any]:
    return {"n": 0, "prev": "", "at": "", "event": event, **fields}


def begin(manifest: str = RELEASE.manifest) -> dict[str, Any]:
    return entry("install.begin", manifest=manifest)


def done(phase: str, milliseconds: int) -> dict[str, Any]:
    return entry("phase.done", phase=phase, milliseconds=milliseconds)


def test_facts_read_back_from_their_canonical_bytes_only() -> None:
    assert Facts.parse(FACTS.text()) == FACTS
    with pytest.raises(FormatError):
        Facts.parse(FACTS.text() + b"\n")
    with pytest.raises(FormatError):
        Facts.parse(FACTS.text().replace(b'"operator"', b'"operater"'))


def test_the_same_facts_give_the_same_page() -> None:
    assert page(FACTS, HEAD) == page(Facts.parse(FACTS.text()), HEAD)


@pytest.mark.parametrize(
    "line",
    [
        "# Procès-verbal d’installation — Atelier \\*d’essai\\*",
        "Mention de protection : DIFFUSION RESTREINTE.",
        "La commande a été lancée 2 fois pour cette installation.",
        "- la sûreté physique",
        f"| SHA-256 du manifeste | `{RELEASE.manifest}` |",
        f"| Journal d’installation | 12 lignes, dernière `{HEAD}` |",
        "| 1/1 | S-0042 | A. Martin | non déclaré |",
        "  `0123 4567`",
        "| | **total** | **60** |",
        "| Mémoire | échec, outrepassé | 1,0 Gio |",
        "- memory : C. Vasseur, motif : Mémoire commandée",
        "- repos : 0 tentative(s) de sortie ; témoin positif attrapé",
    ],
)
def test_the_page_says_what_was_found(line: str) -> None:
    assert line in page(FACTS, HEAD).decode().splitlines()


def test_what_was_not_measured_comes_before_anything_else() -> None:
    text = page(FACTS, HEAD).decode()
    assert text.index("n’a pas été mesuré") < text.index("## Provenance")


@pytest.mark.parametrize("claim", ["certifié", "qualifié", "conforme aux"])
def test_the_page_claims_no_conformity(claim: str) -> None:
    assert claim not in page(FACTS, HEAD).decode()


def test_the_journal_tells_the_last_installation_only() -> None:
    found = told(
        [begin(), done("media", 9_000), begin(OTHER.manifest), begin(), done("checks", 2_900),
         done("checks", 1_200), done("system", 70_000)],
        RELEASE,
    )  # fmt: skip
    names = BY_NAME["checks"].french, BY_NAME["system"].french
    assert found.laps == (
        Lap(number=1, name=names[0], seconds=1), Lap(number=5, name=names[1], seconds=70),
    )  # fmt: skip


def test_of_a_check_made_again_the_last_counts() -> None:
    rows = [
        entry("check", id="room", level=level, title="Place", message="", remedy="")
        for level in ("fail", "pass")
    ]
    found = told([begin(), *rows], RELEASE)
    assert [check.level for check in found.checks] == [Level.PASS]


def test_tasks_are_counted_by_outcome() -> None:
    tasks = [entry("task", outcome=outcome) for outcome in ("ok", "changed", "ok", "failed")]
    assert told([begin(), *tasks], RELEASE).tally == Tally(ok=2, changed=1)


def test_an_egress_proof_that_caught_nothing_planted_is_not_a_measure() -> None:
    missed = Canary(phase="repos", attempts=0, positive_control=False)
    for canaries in ([], [missed]):
        assert any("sortie" in one for one in not_measured("cpu", [], canaries))
    caught = Canary(phase="repos", attempts=0, positive_control=True)
    assert not_measured("cpu", [], [caught]) == list(NEVER_MEASURED)


def test_a_gpu_that_was_not_rehearsed_and_remarks_are_said() -> None:
    remark = Check("clock", Level.WARN, "Horloge", "5 ans après")
    found = not_measured("gpu", [remark], [])
    assert sum("non répété sur un GPU" in one for one in found) == 1
    unrehearsed = Check(
        "rehearsal", Level.WARN, "Répétition", "profil gpu non répété sur un GPU"
    )
    found = not_measured("gpu", [remark, unrehearsed], [])
    assert sum("non répété sur un GPU" in one for one in found) == 1
    rehearsed = Check("rehearsal", Level.PASS, "Répétition", "répété")
    assert not any("GPU" in one for one in not_measured("gpu", [rehearsed], []))
    found = not_measured("gpu", [remark], [])
    assert "Horloge : 5 ans après" in found
