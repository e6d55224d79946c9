"""Error bodies, as OpenAI's clients read them."""

import json

import pytest

from appliance.errors import CODES, ApplianceError, FormatError
from appliance.gateway import wire
from appliance.gateway.upstream import UpstreamBusyError, UpstreamError
from appliance.identity.principal import UnauthenticatedError


def test_an_error_has_the_shape_that_clients_read() -> None:
    error = json.loads(wire.error_body(FormatError("Expected `str` - at `$.messages[0].role`")))
    assert error["error"].keys() == {"message", "type", "param", "code"}
    assert error["error"]["type"] == "invalid_request_error"
    assert error["error"]["param"] == "messages[0].role"
    assert error["error"]["code"] == "CM-NET-01"


def test_people_read_french_unless_they_ask_for_english() -> None:
    exc = FormatError("a key appears twice")
    french = json.loads(wire.error_body(exc))["error"]["message"]
    assert french.startswith(CODES["CM-NET-01"].title)
    english = json.loads(wire.error_body(exc, english=True))["error"]["message"]
    assert english == "a key appears twice"
    assert wire.is_english(b"en-GB,fr;q=0.5")
    assert not wire.is_english(b"fr-FR,en;q=0.5")
    assert not wire.is_english(b"")


def test_a_401_names_its_scheme_and_a_busy_engine_says_when() -> None:
    assert (b"www-authenticate", b"Bearer") in wire.refusal(UnauthenticatedError("x")).headers
    busy, away = wire.refusal(UpstreamBusyError("x")), wire.refusal(UpstreamError("x"))
    assert (busy.status, away.status) == (429, 503)
    assert {b"retry-after"} <= {n for n, _ in busy.headers} & {n for n, _ in away.headers}


def test_a_long_detail_is_cut_and_an_unknown_code_is_a_500() -> None:
    class OddError(ApplianceError):
        code = "CM-XXX-99"

    assert wire.status_of(OddError("x")) == 500
    assert len(wire.error_body(FormatError("x" * 100_000), english=True)) < 1_000


@pytest.mark.parametrize("code", sorted(CODES))
def test_each_code_of_the_table_has_an_answer(code: str) -> None:
    exc = ApplianceError("detail")
    exc.code = code
    refusal = wire.refusal(exc)
    assert 400 <= refusal.status <= 599
    assert json.loads(refusal.body)["error"]["type"].endswith("error") or refusal.status == 402
