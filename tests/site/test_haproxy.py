"""The rendered front: what haproxy itself says of it, and what it lets through."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

from appliance.site.haproxy import Administration, Front, answers, render

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


ADMIN = Administration("127.0.0.1:18998", 18998, "/etc/admin.pem", cards="/etc/cards.pem")


def parts(text: str) -> dict[str, str]:
    """Return the sections of a configuration by their first line."""
    found: dict[str, str] = {}
    for block in text.split("\n\n"):
        for line in block.splitlines():
            if line and not line.startswith(("#", " ")):
                found[line] = block
    return found


def test_a_site_has_a_front_of_administrators_and_the_demo_has_none() -> None:
    assert "frontend admin" not in render(FRONT)
    assert "ssl_c_der" not in render(replace(FRONT, admin=replace(ADMIN, cards=None)))


def test_the_users_front_leads_to_no_other_realm_than_the_sites() -> None:
    text = render(replace(FRONT, certificate="/etc/site.pem", admin=ADMIN))
    user = parts(text)["frontend user"]

    assert "acl identity_public path_beg /auth/realms/casemate/ /auth/resources/\n" in user
    assert "deny deny_status 404 if identity !identity_public" in user
    assert "casemate-admin" not in user
    assert "SSL_CLIENT_CERT" not in user


def test_the_administrators_front_is_keycloak_alone_and_asks_for_a_card() -> None:
    admin = parts(render(replace(FRONT, admin=ADMIN)))["frontend admin"]

    assert "ssl crt /etc/admin.pem ssl-min-ver TLSv1.3" in admin
    assert "ca-file /etc/cards.pem verify optional" in admin
    assert "deny deny_status 404 unless { path_beg /auth/ }" in admin
    assert "default_backend identity" in admin
    assert "use_backend" not in admin
    # What a client sends is taken away before the front says what it saw.
    taken = admin.index("del-header ssl -m beg")
    assert taken < admin.index("set-header SSL_CLIENT_CERT")


def test_counts_are_read_on_the_loopback_alone_and_only_where_they_are_wanted() -> None:
    assert "prometheus-exporter" not in render(FRONT)
    measures = parts(render(replace(FRONT, measures="127.0.0.1:8404")))["frontend measures"]
    assert "bind 127.0.0.1:8404\n" in measures
    assert "use-service prometheus-exporter if { path /metrics }" in measures
    assert "backend" not in measures


def test_the_socket_inside_is_its_folders_groups_on_a_site() -> None:
    assert "bind unix@/run/casemate/inside.sock mode 600\n" in render(FRONT)
    assert "inside.sock mode 660\n" in render(replace(FRONT, inside_mode="660"))
