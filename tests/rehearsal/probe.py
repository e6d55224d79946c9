"""What a user of the machine reaches, asked by a program that is that user.

Run with Debian's python3 and nothing else: reads jobs from standard input, prints one word per
attempt. `passed` somebody answered; `nobody` the way is free, nothing listens; `refused` the
filter or the permissions said no; `silence` no answer in time; `absent` there is no such file.
"""

import asyncio
import errno
import json
import os
import socket
import sys

WAIT = 1.0  # seconds
AT_ONCE = 64
WORDS = {
    errno.ECONNREFUSED: "nobody",
    errno.ENOENT: "absent",
    errno.ETIMEDOUT: "silence",
}


async def attempt(one: dict) -> str:  # type: ignore[type-arg]
    """Try once to reach a TCP port, a UDP port or a socket of the file system."""
    family = socket.AF_INET6 if ":" in one.get("address", "") else socket.AF_INET
    kind = socket.SOCK_DGRAM if one["protocol"] in {"udp", "datagram"} else socket.SOCK_STREAM
    if one["protocol"] in {"unix", "datagram"}:
        family = socket.AF_UNIX
    try:
        with socket.socket(family, kind) as made:
            made.settimeout(0)
            if one.get("source"):
                made.bind((one["source"], 0))
            target = one["path"] if "path" in one else (one["address"], one["port"])
            async with asyncio.timeout(WAIT):
                return await _reach(made, target, one["protocol"])
    except TimeoutError:
        return "silence"
    except OSError as exc:
        return WORDS.get(exc.errno or 0, "refused")


async def _reach(made: socket.socket, target: object, protocol: str) -> str:
    loop = asyncio.get_running_loop()
    await loop.sock_connect(made, target)  # type: ignore[arg-type]
    if protocol == "udp":
        await loop.sock_sendall(made, b"casemate")
        await loop.sock_recv(made, 1)  # an answer, or the error that came back
    return "passed"


async def attempts(wanted: list) -> list[str]:  # type: ignore[type-arg]
    """Try all of them, some at a time, in this order."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(job: dict) -> str:  # type: ignore[type-arg]
        async with gate:
            return await attempt(job)

    return await asyncio.gather(*[one(job) for job in wanted])


def begin(job: dict) -> tuple[int, int]:  # type: ignore[type-arg]
    """Become a user for good, in a process of its own, and try; return process and pipe."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        if "uid" in job:
            os.setgroups(job["groups"])
            os.setresgid(job["gid"], job["gid"], job["gid"])
            os.setresuid(job["uid"], job["uid"], job["uid"])
        found = asyncio.run(attempts(job["attempts"]))
        with os.fdopen(writing, "w") as out:
            json.dump(found, out)
        os._exit(0)
    os.close(writing)
    return child, reading


def end(child: int, reading: int) -> list[str]:
    """Return what a process found."""
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return list(json.loads(text))


def listen(places: list) -> None:  # type: ignore[type-arg]
    """Listen until the end of standard input; say when it is so."""
    held = []
    for protocol, address, port in places:
        kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
        made = socket.socket(socket.AF_INET, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        if protocol == "tcp":
            made.listen(64)
        held.append(made)
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    if sys.argv[1:] == ["listen"]:
        listen(json.loads(sys.stdin.readline()))
    else:
        begun = [begin(job) for job in json.load(sys.stdin)]
        print(json.dumps([end(*one) for one in begun]))
