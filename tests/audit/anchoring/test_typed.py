import pytest

from appliance.audit.anchoring.typed import typed_note
from appliance.audit.checkpoint import open_checkpoint
from appliance.errors import ApplianceError
from tests.audit import exports, logs

NOTE = exports.cosigned(exports.head_of(logs.leaves(logs.exchanges(3))), 9)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(NOTE, id="as it is"),
        pytest.param(NOTE.removesuffix(b"\n"), id="without the last end of line"),
        pytest.param(NOTE + b"\n \n\n", id="empty lines behind it"),
        pytest.param(NOTE.replace(b"\n", b"\r\n"), id="ends of lines of Windows"),
        pytest.param(NOTE.replace(b"\n", b"  \t\n"), id="spaces at the ends"),
    ],
)
def test_ends_of_lines_are_put_right(data: bytes) -> None:
    assert typed_note(data) == NOTE
    open_checkpoint(typed_note(data), *logs.SIGNER.verifiers)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(NOTE.replace("—".encode(), b"-", 1), id="a hyphen for the dash"),
        pytest.param(b" " + NOTE, id="a space before it"),
        pytest.param(NOTE.replace(b"\n\n", b"\n", 1), id="without the empty line"),
        pytest.param(NOTE.replace(b"\n7\n", b"\n8\n"), id="another size"),
        pytest.param(b"\xff" + NOTE, id="no text"),
        pytest.param(NOTE.replace(b"\n", b"\x0b", 1), id="another control character"),
    ],
)
def test_whatever_else_differs_stays_different_and_is_refused(data: bytes) -> None:
    assert typed_note(data) != NOTE
    with pytest.raises(ApplianceError):
        open_checkpoint(typed_note(data), *logs.SIGNER.verifiers)
