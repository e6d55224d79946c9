"""What every answer carries, whatever it is; forms are short."""

import httpx2 as httpx
import pytest

from appliance.console.routing import CSP, FORM_BYTES, HEADERS, too_long
from tests.console.stand import Person, Stand


@pytest.mark.parametrize(
    "path", ["/", "/question", "/absente", "/static/tokens.css", "/static/absente", "/cles"]
)
def test_every_answer_carries_the_policy_of_content(clara: Person, path: str) -> None:
    answer = clara.get(path)
    assert answer.headers["content-security-policy"] == CSP
    for name, value in HEADERS.items():
        assert answer.headers[name] == value


def test_the_policy_allows_nothing_from_elsewhere_and_nothing_inline() -> None:
    assert CSP.startswith("default-src 'self';")
    assert "unsafe" not in CSP
    assert "*" not in CSP
    for rule in (
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors",
    ):
        assert rule in CSP


def test_pages_are_not_kept_and_static_files_are(stand: Stand) -> None:
    with httpx.Client(base_url=stand.origin) as nobody:
        kept = nobody.get("/static/tokens.css?v=1").headers["cache-control"]
        assert "immutable" in kept
        assert nobody.get("/static/tokens.css").headers["cache-control"] == "no-store"
        assert nobody.get("/").headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/static/../routing.py", "/static/%2e%2e/routing.py"])
def test_static_files_are_those_of_their_folder(stand: Stand, path: str) -> None:
    with httpx.Client(base_url=stand.origin) as nobody:
        assert nobody.get(path).status_code == 404


def test_no_page_of_documentation_is_served(clara: Person) -> None:
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert clara.get(path).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "length", "refused"),
    [
        ("POST", "/question", str(FORM_BYTES), False),
        ("POST", "/question", str(FORM_BYTES + 1), True),
        ("POST", "/question", "", True),
        ("POST", "/question", "beaucoup", True),
        ("POST", "/documents/notes", str(1 << 30), False),
        ("GET", "/question", "", False),
    ],
)
def test_only_deposits_are_long(method: str, path: str, length: str, *, refused: bool) -> None:
    headers = [(b"content-length", length.encode())] if length else []
    assert (
        too_long({"type": "http", "method": method, "path": path, "headers": headers})
        == refused
    )


def test_a_form_that_is_too_long_is_refused_unread(clara: Person) -> None:
    assert clara.post("/question", q="x" * (FORM_BYTES + 1)).status_code == 413
