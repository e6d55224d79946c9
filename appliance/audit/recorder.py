"""The recorder: the only process that writes the log, and the one that admits.

The lock of the log is taken first: a second recorder ends before it touches the socket. It is
released last, when no thread can write any more. Told to end (SIGTERM), the recorder records
that it stops and publishes all; killed, it recovers at the next start.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal

import uvloop

from appliance.audit import volume
from appliance.audit.desk import Desk
from appliance.audit.lineage import current_origin, folders_of, keys_ever, known_elsewhere
from appliance.audit.maintenance import now
from appliance.audit.pruning import age_of
from appliance.audit.publisher import Publisher
from appliance.audit.recovery import Recovered, recover
from appliance.audit.volume import Volume
from appliance.audit.writer import Writer
from appliance.errors import ApplianceError
from appliance.ledger.period import Calendar
from appliance.settings import RecorderSettings

log = logging.getLogger(__name__)


def run(settings: RecorderSettings) -> None:
    """Take the log and serve it until the process is told to end.

    Raises:
        VolumeError: The log is not there, or another recorder has it.
        RollbackError: The log is behind what was signed, or differs from it.
        FormatError: The log is damaged.
        VerificationError: The log contradicts itself.
        OSError: A write failed.
    """
    calendar = Calendar(settings.time_zone)
    with volume.locked(settings.directory, settings.segment_bytes) as locked:
        origin = current_origin(settings.directory, settings.origin)
        signer = volume.read_signer(settings.directory, origin)
        publisher = Publisher(settings.directory, settings.last_signed, signer)
        keys = keys_ever(settings.directory, signer.verifiers)
        known = known_elsewhere(folders_of(settings), keys)
        found = recover(locked, publisher, calendar, [one for one, _ in known])
        _warn_of_age(settings)
        gc.freeze()  # what was recovered stays
        gc.set_threshold(50_000, 20, 50)  # measured: pauses of collections, not of the disk
        uvloop.run(serve(locked, publisher, found, settings))


def _warn_of_age(settings: RecorderSettings) -> None:
    """Say when records are kept past the ceiling; what cannot be read keeps nobody away."""
    with contextlib.suppress(OSError, ApplianceError):
        if age_of(settings, now()).is_over:
            log.warning("records are kept longer than they may be: casemate audit retention")


async def serve(
    locked: Volume, publisher: Publisher, found: Recovered, settings: RecorderSettings
) -> None:
    """Serve clients until SIGTERM or SIGINT.

    Raises:
        OSError: A write failed, or the socket cannot be made.
    """
    loop = asyncio.get_running_loop()
    writer = Writer(locked, found, publisher.entry, uid=os.getuid())
    desk = Desk(writer, publisher, settings)
    desk.start(found.shutdown, locked.truncated)
    server = await loop.create_unix_server(desk.peer, str(settings.socket), start_serving=False)
    # Who may connect is the group of the directory (setgid), which the socket inherits.
    settings.socket.chmod(0o660)
    await server.start_serving()
    log.info("the recorder serves", extra={"records": locked.size})
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    watch = loop.create_task(desk.watch_forever())
    checkpoints = loop.create_task(desk.checkpoints.make_forever())
    end = loop.create_task(told.wait())
    await asyncio.wait([watch, checkpoints, end], return_when=asyncio.FIRST_COMPLETED)
    for task in (watch, checkpoints):
        if task.done():
            task.result()  # raises: neither ends by itself
    server.close()
    watch.cancel()
    desk.checkpoints.end()
    await checkpoints
    await desk.stop()
