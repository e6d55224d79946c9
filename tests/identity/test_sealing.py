import pytest

from appliance.errors import VerificationError
from appliance.identity.sealing import Seal

KEY, NONCE = bytes(range(32)), bytes(12)
SEALED = Seal(KEY, "session").seal(b"secret", b"row", NONCE)


def test_what_is_sealed_opens_in_its_context() -> None:
    assert Seal(KEY, "session").open(SEALED, b"row") == b"secret"
    assert b"secret" not in SEALED


@pytest.mark.parametrize(
    ("seal", "sealed", "context"),
    [
        pytest.param(Seal(KEY, "session"), SEALED, b"another row", id="moved to another row"),
        pytest.param(Seal(KEY, "login"), SEALED, b"row", id="another purpose"),
        pytest.param(Seal(KEY[::-1], "session"), SEALED, b"row", id="another key"),
        pytest.param(Seal(KEY, "session"), SEALED[:-1], b"row", id="cut"),
        pytest.param(Seal(KEY, "session"), SEALED[:-1] + b"\0", b"row", id="changed"),
        pytest.param(Seal(KEY, "session"), b"\1" + SEALED[1:], b"row", id="other nonce"),
        pytest.param(Seal(KEY, "session"), b"", b"row", id="nothing"),
    ],
)
def test_anything_else_is_refused(seal: Seal, sealed: bytes, context: bytes) -> None:
    with pytest.raises(VerificationError):
        seal.open(sealed, context)


def test_a_nonce_of_another_length_is_a_defect() -> None:
    with pytest.raises(RuntimeError):
        Seal(KEY, "session").seal(b"", b"", b"short")
