import re

import pytest

from appliance.audit import verdict
from appliance.audit.archive import Fault, TamperedError
from appliance.audit.checkpoint import Checkpoint
from appliance.audit.verdict import FAULTS, REMARKS, Language
from appliance.audit.verify import Finding, Remark, Report, Trust
from appliance.ledger.budget import Standing
from tests.audit import logs

ERROR = TamperedError(Fault.LEAF, "why", file="tile/entries/000.p/41", record=40, offset=18830)
HEAD = Checkpoint(logs.ORIGIN, 40, bytes(32))
STANDING = Standing(used=60_000, reserved=900, limit=100_000, period="month", hard=True)
REPORT = Report(
    head=HEAD, records=42, root=bytes(32), findings=[Finding(Remark.ORPHAN, 41)],
    budgets={"site": STANDING}, stopped_by="", open=1,
)  # fmt: skip
TRUST = Trust(logs.SIGNER.verifiers)


def test_each_fault_and_remark_has_its_words_in_both_languages() -> None:
    assert FAULTS.keys() == set(Fault)
    assert REMARKS.keys() == set(Remark)
    for texts in (*FAULTS.values(), *REMARKS.values()):
        assert texts.keys() == set(Language)
        assert texts[Language.FR] != texts[Language.EN]


def test_both_languages_say_the_same() -> None:
    tables = (verdict.WHOLE, verdict.TAMPERED, verdict.BUDGET, verdict.RECORD, verdict.OFFSET)
    for texts in tables:
        fields = [set(re.findall(r"{(\w+)}", texts[language])) for language in Language]
        assert fields[0] == fields[1]


def test_the_place_is_named_as_far_as_it_is_known() -> None:
    assert verdict.place_of(ERROR, Language.FR) == (
        "Événement 40, tile/entries/000.p/41, octet 18830"
    )
    bare = TamperedError(Fault.CHECKPOINT, "why", file="checkpoint")
    assert verdict.place_of(bare, Language.EN) == "checkpoint"


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (Language.FR, ["JOURNAL FALSIFIÉ", "Événement 40", "n’est pas celui qui a été signé"]),
        (Language.EN, ["TAMPERED", "Event 40", "is not the one that was signed"]),
    ],
)
def test_people_are_told_what_is_wrong_and_where(language: Language, words: list[str]) -> None:
    text = verdict.tampered_text(ERROR, language)
    assert all(word in text for word in [*words, "E_LEAF", "18830"])


def test_programs_are_told_the_same() -> None:
    assert verdict.tampered_facts(ERROR) == {
        "verdict": "tampered", "exit": 1, "fault": "E_LEAF", "record": 40,
        "file": "tile/entries/000.p/41", "offset": 18830, "detail": "why",
    }  # fmt: skip
    facts = verdict.whole_facts(REPORT, TRUST)
    assert (facts["verdict"], facts["exit"], facts["signed"], facts["records"]) == (
        "whole", 4, 40, 42,
    )  # fmt: skip
    assert facts["findings"] == [{"remark": "W_ORPHAN_INTENT", "record": 41}]
    assert facts["budgets"]["site"] == {
        "used": 60_000, "reserved": 900, "limit": 100_000, "remaining": 39_100,
        "period": "month", "hard": True,
    }  # fmt: skip


def test_a_whole_log_says_what_was_not_compared_and_what_has_no_end() -> None:
    text = verdict.whole_text(REPORT, TRUST, Language.FR)
    assert "rien de gardé ailleurs" in text
    assert "Événement 41 : demande sans fin (W_ORPHAN_INTENT)" in text
    assert "site (mois) : dépensé 60000, réservé 900, reste 39100" in text
    anchored = Trust(logs.SIGNER.verifiers, [HEAD])
    assert "proofs brought: 1" in verdict.whole_text(REPORT, anchored, Language.EN)
