"""The rendered front: what haproxy itself says of it, and what it lets through."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

from appliance.site.haproxy import Front, answers, render

FRONT = Front(
    bind="127.0.0.1:18999",
    port=18999,
    inside="/run/casemate/inside.sock",
    gateways={"gateway-0": "/run/casemate/g0.sock", "gateway-1": "/run/casemate/g1.sock"},
    console="/run/casemate/console.sock",
    identity="127.0.0.1:18080",
    pages="/etc/casemate",
)


def test_haproxy_accepts_what_is_rendered(tmp_path: Path) -> None:
    path = tmp_path / "haproxy.cfg"
    for name, answer in answers().items():
        (tmp_path / name).write_bytes(answer)
    path.write_text(render(replace(FRONT, pages=str(tmp_path))))
    checked = subprocess.run(
        ["/usr/sbin/haproxy", "-c", "-f", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stderr


def test_each_gateway_is_in_turn() -> None:
    text = render(FRONT)

    assert "server gateway-0 unix@/run/casemate/g0.sock check" in text
    assert "server gateway-1 unix@/run/casemate/g1.sock check" in text


def test_a_certificate_means_tls_1_3_and_the_forwarded_protocol() -> None:
    text = render(replace(FRONT, certificate="/etc/site.pem"))

    assert "ssl crt /etc/site.pem ssl-min-ver TLSv1.3" in text
    assert "X-Forwarded-Proto https" in text
    assert "X-Forwarded-For %[src]" in text  # else no key bound to a network would pass
    assert "X-Forwarded-Proto http\n" in render(FRONT)


def test_what_haproxy_says_by_itself_is_a_503_page_or_an_openai_error() -> None:
    page, body = (a.partition(b"\r\n\r\n") for a in answers().values())

    assert page[0].startswith(b"HTTP/1.1 503 ")
    assert "Service momentanément indisponible".encode() in page[2]
    assert b'lang="en"' in page[2]
    assert json.loads(body[2])["error"]["code"] == "CM-NET-08"
    assert render(FRONT).count("503-api.http") == 3
    for head, _, text in (page, body):
        assert f"content-length: {len(text)}\r\n".encode() in head
