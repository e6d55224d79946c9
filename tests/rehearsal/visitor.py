"""The person of the rehearsal: signs in over TLS, deposits, asks, opens, keeps a receipt.

Run in the browser's network namespace, as a program of its own: `python -m
tests.rehearsal.visitor WORK.json` reads what it needs and prints one JSON object. It trusts the
site's authority alone (SSL_CERT_FILE), as a workstation of the site would.
"""

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from appliance.audit.receipt import page
from appliance.site.visitor import Page, Reply, Visitor

READING = 90.0  # seconds until a deposited document is found
WORD = "zirconium"
TITLE = "note-repetition.txt"
DOCUMENT = (
    "Note de service PO-417\n\n"
    f"Le local {WORD} ferme le vendredi à dix-sept heures trente.\n"
    "La clé du local est gardée au poste de sécurité.\n"
)
QUESTION = f"À quelle heure ferme le local {WORD} le vendredi ?"
KEY = "//code[@id='cle']"
MODEL, TOKENS = "mistral", 32


@dataclass(slots=True)
class Visit:
    """What was seen, and how long each step took."""

    seconds: dict[str, float] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)
    _last: float = field(default_factory=time.monotonic)

    def done(self, step: str) -> None:
        """Note the time since the step before."""
        now = time.monotonic()
        self.seconds[step], self._last = round(now - self._last, 2), now


async def deposit(visitor: Visitor, collection: str) -> Page:
    """Put the document into a collection, as the form of its page does."""
    shown = await visitor.get(f"/documents/{collection}")
    (form,) = (f for f in shown.root.forms if "multipart" in (f.get("enctype") or ""))
    data = aiohttp.FormData()
    for name, value in form.form_values():
        data.add_field(name, str(value))
    data.add_field("fichiers", DOCUMENT.encode(), filename=TITLE, content_type="text/plain")
    headers = {"Origin": visitor.origin}
    # The class has no upload of its own: a browser sends the form whole.
    async with visitor._http.post(form.action, data=data, headers=headers) as answer:
        assert answer.status < 400, (answer.status, await answer.text())
    return await visitor.get(f"/documents/{collection}")


async def visit(work: dict[str, Any]) -> Visit:
    """Do all that a person would, in order."""
    found = Visit()
    async with Visitor(work["origin"]) as visitor:
        landed = await visitor.sign_in(work["name"], work["password"], None)
        found.seen["signed_in"] = landed.address
        found.done("sign in")
        await deposit(visitor, work["collection"])
        found.done("deposit")
        reply = await cited(visitor, work["collection"])
        found.done("read and cited")
        found.seen |= {"answer": reply.text, "sources": reply.sources}
        shown = await visitor.get(reply.receipt.removesuffix("/recu"))
        found.seen["record"] = shown.status
        receipt = await visitor.download(reply.receipt)
        found.done("receipt")
        link = await _source(visitor, work["collection"])
        found.seen["source"] = WORD in link
        found.done("open the source")
        key = await application_key(visitor)
        found.seen["stream"], index = await stream(visitor, key, work["collection"])
        found.done("stream of the model")
        streamed = await visitor.download(f"/journal/{index}/recu")
    folder = Path(work["folder"])
    found.seen["receipt"] = elsewhere(folder, receipt, work["key"])
    found.seen["receipt of the stream"] = elsewhere(folder, streamed, work["key"])
    found.done("receipts checked with python3 and openssl")
    return found


async def cited(visitor: Visitor, collection: str) -> Reply:
    """Ask until the deposited document is read, indexed and quoted."""
    deadline = time.monotonic() + READING
    while True:
        reply = await visitor.ask(QUESTION, [collection])
        if WORD in reply.text:
            return reply
        assert time.monotonic() < deadline, f"never found: {reply}"
        await asyncio.sleep(1)


async def application_key(visitor: Visitor) -> str:
    """Make an application key on the page, as a person does."""
    shown = await visitor.get("/cles")
    (form,) = (f for f in shown.root.forms if f.action.endswith("/cles"))
    fields = {name: str(value) for name, value in form.form_values()}
    return (await visitor.post(form.action, fields | {"nom": "repetition"})).text(KEY)


async def stream(visitor: Visitor, key: str, collection: str) -> tuple[dict[str, int], int]:
    """Have the model write through the gateway; return what was counted, and the record."""
    body = {
        "model": MODEL, "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": TOKENS, "stream": True, "stream_options": {"include_usage": True},
        "casemate": {"collections": [collection]},
    }  # fmt: skip
    headers = {"Authorization": f"Bearer {key}"}
    pieces = 0
    usage: dict[str, int] = {}
    address = f"{visitor.origin}/v1/chat/completions"
    async with visitor._http.post(address, json=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        index = int(answer.headers["X-Casemate-Receipt"].partition(";")[0])
        async for line in answer.content:
            if line.startswith(b"data: {"):
                event = json.loads(line[6:])
                pieces += any(c["delta"].get("content") for c in event.get("choices", ()))
                usage = event.get("usage") or usage
    assert usage["completion_tokens"] == TOKENS, usage
    assert pieces > 1, "it came whole, not as a stream"
    return {"pieces": pieces, "tokens": usage["completion_tokens"]}, index


async def _source(visitor: Visitor, collection: str) -> str:
    """Open the document of the answer; return the text that is shown."""
    listed = await visitor.get(f"/documents/{collection}")
    rows = f"//tr[contains(., '{TITLE}')]/th/a"
    (address,) = listed.links(rows)[:1]
    return (await visitor.get(address)).text("//main")


def elsewhere(folder: Path, receipt: bytes, key: str) -> str:
    """Check a receipt with the printed page: python3 and openssl, and nothing of ours."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "verify_receipt.py").write_text(page(), "utf-8")
    (folder / "receipt").write_bytes(receipt)
    python = ["python3", "-I", "-S", "verify_receipt.py", "receipt", key]
    flat = ["/usr/bin/env", "-i", "PATH=/usr/bin:/bin"]
    done = subprocess.run([*flat, *python], cwd=folder, capture_output=True, check=False)
    output = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, output
    return next(line for line in output.splitlines() if "AUTHENTIC" in line)


def main() -> None:
    work = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    found = asyncio.run(visit(work))
    print(json.dumps({"steps": found.seconds, "seen": found.seen}, ensure_ascii=False))


if __name__ == "__main__":
    main()
