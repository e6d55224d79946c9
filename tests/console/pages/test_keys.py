"""Application keys: issued, shown once, revoked, never another's."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.console.stand import Person, Stand, found_in, person, text_of, values_of


def issue(who: Person, name: str = "gmao", **fields: Any) -> str:
    page = who.post("/cles", nom=name, **fields)
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    return text_of(page, "//*[@id='cle']")


def test_a_key_is_shown_once_and_its_issue_is_on_record(stand: Stand, clara: Person) -> None:
    name = f"gmao-{uuid.uuid4().hex[:6]}"
    secret = issue(clara, name, jours="30", marquage="1", collection=["notes"])
    assert re.fullmatch(r"cm_[a-z2-7]{30}", secret)
    assert b"casemate.key.issue.v1" in stand.leaves()[-1]
    assert secret.encode() not in b"".join(stand.leaves())
    page = clara.get("/cles")
    assert name in page.text
    assert secret not in page.text
    assert "Usage interne" in text_of(page, f"//tr[th='{name}']")
    assert "notes" in text_of(page, f"//tr[th='{name}']")


def test_a_key_is_revoked_for_good(stand: Stand, clara: Person) -> None:
    name = f"robot-{uuid.uuid4().hex[:6]}"
    issue(clara, name)
    row = f"//tr[th='{name}']"
    (action,) = values_of(clara.get("/cles"), f"{row}//form/@action")
    assert clara.post(action).status_code == 303
    assert b"casemate.key.revoke.v1" in stand.leaves()[-1]
    page = clara.get("/cles")
    assert "révoquée" in text_of(page, row)
    assert found_in(page, f"{row}//form") == []


def test_a_program_issues_and_revokes_and_both_are_on_record(
    stand: Stand, clara: Person
) -> None:
    end = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    wish = {"name": f"api-{uuid.uuid4().hex[:6]}", "scopes": ["chat"], "expires_at": end}
    token = {"x-csrf-token": clara.session.csrf}
    made = clara.http.post("/api/keys", json=wish, headers=token)
    assert made.status_code == 201
    assert b"casemate.key.issue.v1" in stand.leaves()[-1]
    gone = clara.http.post(f"/api/keys/{made.json()['key']['id']}/revoke", headers=token)
    assert gone.status_code == 200
    assert b"casemate.key.revoke.v1" in stand.leaves()[-1]


def test_a_key_of_somebody_else_is_neither_listed_nor_revoked(
    stand: Stand, clara: Person
) -> None:
    name = f"clara-{uuid.uuid4().hex[:6]}"
    issue(clara, name)
    (action,) = values_of(clara.get("/cles"), f"//tr[th='{name}']//form/@action")
    with person(stand, "b.dupont") as other:
        assert name not in other.get("/cles").text
        theirs, absent = other.post(action), other.post(f"/cles/{uuid.uuid4()}/revoquer")
    assert theirs.status_code == absent.status_code == 404
    assert "révoquée" not in text_of(clara.get("/cles"), f"//tr[th='{name}']")


def test_a_label_above_ones_clearance_is_not_offered_and_is_refused(clara: Person) -> None:
    offered = values_of(clara.get("/cles"), "//select[@name='marquage']/option/@value")
    assert offered == ["0", "1", "2"]
    page = clara.post("/cles", nom="trop", marquage="3")
    assert "403 CM-DRT-01" in text_of(page, "//*[@role='alert']")
    assert values_of(page, "//input[@name='nom']/@value") == ["trop"]


def test_a_key_without_a_name_is_not_issued(clara: Person) -> None:
    assert clara.post("/cles", nom="  ").status_code == 303


def test_a_name_that_is_markup_stays_text(clara: Person) -> None:
    page = clara.post("/cles", nom="<script>alert(1)</script>")
    assert found_in(page, "//script[not(@src)]") == []
    assert "<script>alert(1)</script>" in text_of(page, "//section[contains(@class, 'notice')]")


def test_who_has_no_right_to_keys_has_no_page(auditor: Person) -> None:
    assert auditor.get("/cles").status_code == 403
    assert auditor.post("/cles", nom="x").status_code == 403
