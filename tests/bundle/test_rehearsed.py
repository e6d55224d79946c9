from pathlib import Path

import pytest

from appliance.bundle.rehearsed import Rehearsal, decode, is_rehearsed, notice, recorded
from appliance.errors import FormatError

ROOT = Path(__file__).parents[2]
ON_A_GPU = Rehearsal("gpu", "2027-01-12", "1 × H100", "docs/results/x.json")


def test_the_profile_gpu_is_said_not_to_be_rehearsed_until_it_was() -> None:
    assert notice("gpu", []) == (
        "Profil gpu : non répété sur un GPU.\nProfile gpu: not rehearsed on a GPU."
    )
    on_processors = Rehearsal("cpu", "2026-11-23", "x", "y")
    assert not is_rehearsed("gpu", [on_processors])
    assert notice("gpu", [ON_A_GPU]) == ""
    assert notice("cpu", []) == ""


def test_each_recorded_rehearsal_has_its_result_in_the_repository() -> None:
    for one in recorded():
        assert (ROOT / one.result).is_file()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'[{"profile":"gpu"}]',
        b'[{"profile":"gpu","date":"","machine":"m","result":"r"}]',
        b'[{"profile":"tpu","date":"d","machine":"m","result":"r"}]',
    ],
)
def test_a_record_that_says_nothing_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        decode(data)
