"""The report of an export and the slip that is signed: what they say, on each page."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pypdfium2  # type: ignore[import-untyped]
import zxingcpp

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.contents import Order, Tally
from appliance.audit.event import Leaf
from appliance.audit.export import export
from appliance.audit.note import Note
from appliance.audit.papers import Paper, dated, report, slip
from tests.audit import exports, logs
from tests.audit.exports import cosigned, head_of, log_of
from tests.audit.logs import ORIGIN, SIGNER

LEAVES = logs.leaves(logs.exchanges(20))
ORDER = Order(2, 40, label="Usage interne", site="Éton", made=logs.START, made_by="ada")


def paper(*sizes: int) -> Paper:
    head = Checkpoint.parse(head_of(LEAVES).text)
    notes = [Note.parse(cosigned(head_of(LEAVES, n), exports.seconds(n))) for n in sizes]
    tally = Tally()
    for leaf in LEAVES[2:]:
        tally.add(Leaf.parse(leaf))
    return Paper("export-eton-2-40", ORDER, head, SIGNER.verifiers, notes, tally, b"note\n")


def pages(pdf: Path) -> list[str]:
    with pypdfium2.PdfDocument(pdf) as document:
        return [page.get_textpage().get_text_bounded() for page in document]


def test_the_report_names_range_root_keys_and_witnesses() -> None:
    said: Any = report(paper(20, 41))
    assert ["Événements", "2 à 40 (39), parmi 41 signés"] in said["summary"]
    assert ["Racine", paper().head.root.hex()] in said["head"]
    assert said["keys"] == [key.text() for key in SIGNER.verifiers]
    assert said["anchors"] == [
        ["20", "rssi.example/w1", "23 novembre 2026 à 08 h 00"],
        ["41", "rssi.example/w1", "23 novembre 2026 à 08 h 00"],
    ]
    assert said["tail"] == ""
    assert ["casemate.llm.request.v1", "19"] in said["types"]


def test_the_report_says_what_no_note_anchors() -> None:
    assert report(paper(20))["tail"] == (
        "Les événements 20 à 40 ne sont dans aucune note témoignée."
    )
    assert str(report(paper())["tail"]).startswith("Les événements 2 à 40")


def test_a_head_with_too_many_signatures_for_a_code_is_printed_without() -> None:
    assert str(report(paper())["qr"]).startswith("<svg")
    assert report(replace(paper(), note=bytes(3000)))["qr"] == ""


def test_the_slip_names_the_folder_by_one_digest() -> None:
    said: Any = slip(paper(), "ab" * 32, 1_234_567)
    assert said["sums"] == "ab" * 32
    assert ["Dossier", "export-eton-2-40"] in said["summary"]
    assert ["Taille", "1\u202f234\u202f567 octets"] in said["summary"]
    assert ["Mention de protection", "Usage interne"] in said["summary"]


def test_dates_are_french_and_a_clock_that_is_wrong_stops_nothing() -> None:
    assert dated(0) == "1er janvier 1970 à 00 h 00"
    assert dated(2**63) == "1er janvier 1970 à 00 h 00"


def test_both_papers_bear_the_marking_on_each_page(tmp_path: Path) -> None:
    log = log_of(tmp_path, LEAVES, [41])
    done = export(log, tmp_path / "out", ORDER)
    assert done.slip is not None
    assert done.slip == done.folder.with_name(f"{done.folder.name}.bordereau.pdf")
    for pdf in (done.folder / "rapport.pdf", done.slip):
        found = pages(pdf)
        assert all(text.count("Usage interne") >= 2 for text in found)  # above and below
        assert done.head.root.hex() in "".join(found).replace("\r\n", "")
    assert done.sums in "".join(pages(done.slip))
    with pypdfium2.PdfDocument(done.folder / "rapport.pdf") as document:
        (code,) = zxingcpp.read_barcodes(document[0].render(scale=4).to_numpy())
    assert code.bytes == (done.folder / "checkpoint").read_bytes()
    assert "Remis par" in "".join(pages(done.slip))
    assert ORIGIN in "".join(pages(done.folder / "rapport.pdf"))
    assert exports.judged(done.folder, tmp_path / "POLICY")[0] == 0
