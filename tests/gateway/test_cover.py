"""What is hidden after a match: the rest of a token, the lines of a key, nothing else."""

import pytest

from appliance.gateway.guards import Guard

KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIx\nAb+/9==\n-----END EC PRIVATE KEY-----"
MASK = "[secret masqué]"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"avant {KEY} après", f"avant {MASK} après"),
        (f"{KEY}\n{KEY}", f"{MASK}\n{MASK}"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\nBBBB", MASK),
        ("`-----BEGIN PRIVATE KEY-----` ouvre le fichier", f"`{MASK}` ouvre le fichier"),
        ("clé sk-a1" + "b" * 300 + " fin", f"clé {MASK} fin"),
        ("sk-a1" + "b\u200b" * 100 + " fin", f"{MASK} fin"),
        ("postgresql://u:secret1@hote/base", f"{MASK}hote/base"),
        ("a@exemple.fr,b@exemple.fr", "[courriel masqué],[courriel masqué]"),
        ("+49 4111 1111 1111 1111", "[téléphone masqué]"),
        ("m½ 06 12 34 56 78 ½", "m½ [téléphone masqué] ½"),
    ],
    ids=[
        "key",
        "two-keys",
        "cut-key",
        "quoted",
        "long",
        "hidden",
        "url",
        "neighbours",
        "overlap",
        "expanded",
    ],
)
def test_what_belongs_to_a_match_is_hidden_with_it(text: str, masked: str) -> None:
    guard = Guard({"secret": "mask", "email": "mask", "phone": "mask", "card": "mask"})
    assert guard.check(text).text == masked
