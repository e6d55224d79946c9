"""Stands for the recorder: says of each event that it is in the log. No event is kept."""

import json
import socketserver
import struct
from pathlib import Path

SOCKET = Path("/run/casemate/recorder/socket")


class Answering(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        index = 0
        while head := self.rfile.read(4):
            request = json.loads(self.rfile.read(struct.unpack(">I", head)[0]))
            events = request.get("events", [None])
            told = [{"ref": request["ref"] + n, "index": index + n} for n in range(len(events))]
            index += len(events)
            body = json.dumps(told).encode()
            self.wfile.write(struct.pack(">I", len(body)) + body)


SOCKET.unlink(missing_ok=True)
socketserver.ThreadingUnixStreamServer(str(SOCKET), Answering).serve_forever()
