"""Error bodies of `/v1`, as OpenAI's clients read them. Pure.

`{"error": {"message", "type", "param", "code"}}`; codes and French texts are those of the one
table in `errors.py`.
"""

import re
from dataclasses import dataclass

import msgspec

from appliance.errors import CODES, ApplianceError, Explanation, FormatError

Header = tuple[bytes, bytes]
JSON: Header = (b"content-type", b"application/json")
EVENTS: Header = (b"content-type", b"text/event-stream; charset=utf-8")

_UNAUTHORIZED = 401
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
    503: "service_unavailable_error",
}
_RETRY_AFTER = {429: b"1", 503: b"5"}  # seconds
_PATH = re.compile(r" - at `\$\.?([^`]{1,200})`")
_DETAIL_MAX = 500  # characters


class _Error(msgspec.Struct):
    message: str
    type: str
    param: str | None
    code: str


class _Body(msgspec.Struct):
    error: _Error


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is no."""

    status: int
    body: bytes
    headers: list[Header]


_encode = msgspec.json.Encoder().encode


def is_english(accept_language: bytes) -> bool:
    """Tell whether a client prefers English. Everybody else reads French."""
    return accept_language[:2].lower() == b"en"


def status_of(exc: ApplianceError) -> int:
    """Return the HTTP status of an error."""
    return _explained(exc.code).status


def error_body(exc: ApplianceError, *, english: bool = False) -> bytes:
    """Return the body. A person reads the message: in French unless `english`."""
    explained = _explained(exc.code)
    detail = str(exc)[:_DETAIL_MAX]
    message = detail if english else f"{explained.title} ({detail}). {explained.remedy}"
    path = _PATH.search(detail) if isinstance(exc, FormatError) else None
    kind = _TYPES.get(explained.status, "api_error")
    return _encode(_Body(_Error(message, kind, path[1] if path else None, exc.code)))


def refusal(exc: ApplianceError, *, english: bool = False) -> Refusal:
    """Return status, body and headers for an error."""
    status, body = status_of(exc), error_body(exc, english=english)
    headers = [JSON, (b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store")]
    if status == _UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))  # RFC 9110, 15.5.2
    if status in _RETRY_AFTER:
        headers.append((b"retry-after", _RETRY_AFTER[status]))
    return Refusal(status, body, headers)


def _explained(code: str) -> Explanation:
    return CODES.get(code) or CODES["CM-NET-00"]
