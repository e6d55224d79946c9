"""Checking a receipt: anyone signed in may, whoever it belongs to."""

from datetime import UTC, datetime

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.requests import Request

from appliance.audit import receipt as receipts
from appliance.audit.key import parse_keys
from appliance.audit.proof import Proof
from appliance.console.context import Visit, Visitor, token_check, visit_with
from appliance.console.language import Language
from appliance.console.menu import RECEIPT
from appliance.console.page import METADATA, NO_CONTENT
from appliance.console.records import read
from appliance.console.upload import Parts
from appliance.errors import CODES, FormatError, VerificationError

router = APIRouter(include_in_schema=False)
PAGE_NAME = "verifier_recu.py"
_MICRO = 1_000_000


@router.get("/recu")
async def receipt_page(visit: Visitor) -> Response:
    """Ask for a receipt."""
    return _page(visit, None)


@router.get("/recu/verifier.py")
async def verifier_page(visit: Visitor) -> Response:
    """Give the page of python3 that checks a receipt elsewhere."""
    del visit
    headers = {"Content-Disposition": f'attachment; filename="{PAGE_NAME}"'}
    return Response(receipts.page(), media_type="text/plain; charset=utf-8", headers=headers)


@router.post("/recu")
async def check(request: Request) -> Response:
    """Check a receipt."""
    visit = await visit_with(request, csrf=False)
    parts = Parts(request.headers.get("content-type", ""), aiter(request.stream()))
    data = b""
    async for _, chunks in parts.files(token_check(visit, request)):
        data = b"".join([chunk async for chunk in chunks])
    return _page(visit, verdict(data, visit.console.log_key, visit.language))


def verdict(data: bytes, log_key: str, language: Language) -> dict[str, object]:
    """Return what a receipt proves, or why it is refused."""
    try:
        found = receipts.check(data, log_key)
        proof = Proof.parse(data)
    except (FormatError, VerificationError) as exc:
        known = CODES[exc.code]
        return {
            "refused": True,
            "title": known.title,
            "meaning": known.meaning,
            "remedy": known.remedy,
            "detail": str(exc),
            "code": exc.code,
        }
    record = read(found.stored, language)
    return {
        "refused": False,
        "index": found.index,
        "at": datetime.fromtimestamp(found.leaf.at / _MICRO, UTC),
        "title": record.title,
        "leaf": record.leaf,
        "root": found.head.root.hex(),
        "size": found.head.size,
        "steps": len(proof.path),
        "key": parse_keys(log_key)[0].name,
        "opens": bool(found.keys),
        "label": record.label,
    }


def _page(visit: Visit, found: dict[str, object] | None) -> Response:
    label = found.get("label", 0) if found else 0
    rank = label if isinstance(label, int) else 0
    shell = visit.shell(rank, METADATA if rank else NO_CONTENT, RECEIPT.href)
    return visit.page("receipt.html", shell, verdict=found)
