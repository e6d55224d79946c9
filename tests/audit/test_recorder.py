import resource
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from appliance.audit import recorder, volume
from appliance.audit.checkpoint import open_checkpoint
from appliance.audit.event import Fact, Kind, Leaf
from appliance.audit.key import Signer
from appliance.audit.volume import VolumeError
from appliance.errors import FormatError
from appliance.settings import RecorderSettings
from tests.audit.parts import leaves_of
from tests.recording import (
    ORIGIN,
    SEED,
    RawClient,
    completion,
    intent,
    new_log,
    refused_start,
    running,
    stop,
)

Process = subprocess.Popen[bytes]


def starts(settings: RecorderSettings) -> list[tuple[object, object]]:
    facts = [leaf.event for leaf in leaves_of(settings) if isinstance(leaf.event, Fact)]
    return [
        (event.data["previous_shutdown"], event.data["orphans"])
        for event in facts
        if event.kind is Kind.AUDIT_START
    ]


def last(settings: RecorderSettings) -> Leaf:
    return leaves_of(settings)[-1]


def test_told_to_end_the_recorder_publishes_all_and_says_so(
    recorder_settings: RecorderSettings,
) -> None:
    slow = recorder_settings.model_copy(update={"checkpoint_interval": 3600})
    with running(slow) as process, RawClient(slow.socket) as client:
        client.append(intent(1))
        stop(process)
    event = last(slow).event
    assert isinstance(event, Fact)
    assert event.kind is Kind.AUDIT_STOP
    note = (slow.directory / "checkpoint").read_bytes()
    head = open_checkpoint(note, Signer(ORIGIN, SEED).verifier)
    assert head.size == len(leaves_of(slow)) == 3
    with running(slow) as process, RawClient(slow.socket) as client:
        assert client.append(intent(1))["index"] == 1
        process.kill()
        process.wait()
    with running(slow):
        pass
    assert starts(slow) == [("first", 0), ("clean", 1), ("crash", 1)]


def test_events_that_wait_at_the_end_are_not_lost_in_silence(
    recorder_settings: RecorderSettings,
) -> None:
    with running(recorder_settings) as process, RawClient(recorder_settings.socket) as client:
        answer = client.append(intent(1))
        stop(process)
        with pytest.raises(OSError):  # noqa: PT011 - closed, reset or broken: as it comes
            client.append(completion(1))
    assert leaves_of(recorder_settings)[answer["index"]].event == intent(1)
    with running(recorder_settings), RawClient(recorder_settings.socket) as client:
        assert "index" in client.append(completion(1))


def test_the_socket_is_for_owner_and_group_only(
    recorder: Process, recorder_settings: RecorderSettings
) -> None:
    assert recorder.poll() is None
    assert recorder_settings.socket.stat().st_mode & 0o777 == 0o660


def test_a_second_recorder_is_refused_and_the_first_goes_on(
    recorder: Process, recorder_settings: RecorderSettings
) -> None:
    assert "another recorder" in refused_start(recorder_settings)
    assert recorder.poll() is None
    with RawClient(recorder_settings.socket) as client:
        assert "index" in client.append(intent(1))


def test_without_a_log_none_is_made(
    recorder_settings: RecorderSettings, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    absent = recorder_settings.model_copy(update={"directory": tmp_path / "empty"})
    with pytest.raises(VolumeError):
        recorder.run(absent)
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_time_zone_that_is_none_is_refused(recorder_settings: RecorderSettings) -> None:
    with pytest.raises(FormatError, match="time zone"):
        recorder.run(recorder_settings.model_copy(update={"time_zone": "Mars/Olympus"}))


@pytest.mark.parametrize("gone", ["journal", "sealed"])
def test_a_segment_deleted_under_the_recorder_ends_it(
    recorder: Process, recorder_settings: RecorderSettings, gone: str
) -> None:
    with RawClient(recorder_settings.socket) as client:
        client.append(intent(1))
    (recorder_settings.directory / gone / "0000000000000000").unlink()
    assert recorder.wait(20) != 0


def test_what_is_written_to_a_deleted_journal_is_not_acknowledged(
    recorder: Process, recorder_settings: RecorderSettings
) -> None:
    with RawClient(recorder_settings.socket) as client:
        client.append(intent(1))
        (recorder_settings.directory / "journal" / "0000000000000000").unlink()
        with pytest.raises(OSError):  # noqa: PT011
            client.append(completion(1))
    assert recorder.wait(20) == 70


def test_a_write_that_fails_ends_the_recorder_and_the_next_one_goes_on(
    recorder_settings: RecorderSettings,
) -> None:
    with running(recorder_settings) as process, RawClient(recorder_settings.socket) as client:
        kept = client.append(intent(1))
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100, 100))  # as a full disk
        with pytest.raises(OSError):  # noqa: PT011
            client.append(intent(2))
        assert process.wait(20) == 70
    with running(recorder_settings), RawClient(recorder_settings.socket) as client:
        assert client.append(intent(1))["index"] == kept["index"]
        assert "index" in client.append(completion(1))
    assert starts(recorder_settings)[1] == ("crash", 1)


def test_no_room_for_more_segments_refuses_intents_and_still_takes_ends(
    tmp_path: Path,
) -> None:
    settings = new_log(tmp_path, segment_bytes=1 << 20)
    blocked = settings.directory / "journal" / "next"
    blocked.mkdir()  # the next segment cannot be made
    with running(settings) as process, RawClient(settings.socket) as client:
        number, answer = 0, client.append(intent(0))
        while "index" in answer:
            number += 1
            answer = client.append(intent(number))
        assert (answer["error"], answer["detail"]) == (
            "CM-JRN-01", "no room for the end of the request",
        )  # fmt: skip
        for ended in range(number):
            assert "index" in client.append(completion(ended))
        assert process.poll() is None
    shutil.rmtree(settings.socket.parent)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param((2**32 - 1).to_bytes(4, "big"), id="too long"),
        pytest.param(b"\0\0\0\1{", id="no JSON"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="HTTP"),
    ],
)
@pytest.mark.usefixtures("recorder")
def test_who_speaks_something_else_is_shown_out_and_harms_nobody(
    recorder_settings: RecorderSettings, data: bytes
) -> None:
    with RawClient(recorder_settings.socket) as client:
        with RawClient(recorder_settings.socket) as stranger:
            stranger.send_raw(data)
            with pytest.raises(OSError):  # noqa: PT011
                stranger.receive()
        assert "index" in client.append(intent(1))


@pytest.mark.usefixtures("recorder")
def test_a_client_that_leaves_inside_a_frame_harms_nobody(
    recorder_settings: RecorderSettings,
) -> None:
    with RawClient(recorder_settings.socket) as leaver:
        leaver.send_raw(b"\0\0\1\0{")
    with RawClient(recorder_settings.socket) as client:
        assert "index" in client.append(intent(1))


def test_requests_of_a_gateway_that_is_lost_are_closed(
    recorder_settings: RecorderSettings,
) -> None:
    hasty = recorder_settings.model_copy(update={"reattach_timeout": 0.1})
    with running(hasty), RawClient(hasty.socket) as witness:
        with RawClient(hasty.socket) as gateway:
            gateway.send({"op": "attach", "ref": 0, "gateway": "gateway-0", "live": []})
            gateway.append(intent(1))
            gateway.append(intent(2))
            gateway.append(completion(1))
        deadline = time.monotonic() + 20
        while witness.ask("status")["body"]["open"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        answer = witness.append(completion(2))
        assert answer["error"] == "CM-JRN-02"
    ending = last(hasty).event
    assert getattr(ending, "finish") == "gateway_lost"  # noqa: B009


def test_the_journal_is_left_as_it_is_when_it_is_damaged(
    recorder_settings: RecorderSettings,
) -> None:
    with running(recorder_settings), RawClient(recorder_settings.socket) as client:
        client.append(intent(1))
        client.append(intent(2))
    path = recorder_settings.directory / "journal" / "0000000000000000"
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    assert "damaged" in refused_start(recorder_settings)
    assert path.read_bytes() == bytes(data)
    with pytest.raises(FormatError):
        volume.read(recorder_settings.directory)
