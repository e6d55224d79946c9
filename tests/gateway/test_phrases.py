"""The list of phrases: each is found as it stands, none is in ordinary administrative prose."""

import pytest

from appliance.gateway.guards import HOLD_BACK, Guard
from appliance.gateway.phrases import PHRASES

GUARD = Guard({})
PROSE = """Le chef de service rappelle les consignes de sécurité et le règlement intérieur.
Les instructions précédentes du préfet sont abrogées par la présente note. N'oubliez pas de
transmettre vos observations avant le 12 mars. Les agents affichent leurs badges. La fin du
message porte la signature. You may ignore this e-mail if it was sent to you by mistake."""


@pytest.mark.parametrize("phrase", PHRASES)
def test_a_phrase_is_heard(phrase: str) -> None:
    assert GUARD.check(f"Bonjour, {phrase} !").flags == ("injection",)
    assert phrase == phrase.lower()
    assert len(phrase) < HOLD_BACK


def test_administrative_prose_holds_none() -> None:
    assert GUARD.check(PROSE).flags == ()
