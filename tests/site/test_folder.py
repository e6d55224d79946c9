import socket
import stat
import tomllib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from appliance.site.folder import choose_ports, prepare, toml, write_settings


def test_credentials_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "demo")
    first = {path.name: path.read_bytes() for path in folder.credentials.iterdir()}
    prepare(tmp_path / "demo")

    assert {path.name: path.read_bytes() for path in folder.credentials.iterdir()} == first
    assert stat.S_IMODE(folder.credentials.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in folder.credentials.iterdir()} == {0o600}
    assert len(set(first.values())) == len(first)


def test_the_history_key_is_a_pair(tmp_path: Path) -> None:
    folder = prepare(tmp_path)
    private = X25519PrivateKey.from_private_bytes(folder.secret("history-key").read_bytes())

    public = private.public_key().public_bytes_raw()
    assert public == folder.secret("history-key.pub").read_bytes()


def test_sockets_of_a_stack_that_was_killed_are_removed(tmp_path: Path) -> None:
    folder = prepare(tmp_path)
    folder.socket("gateway-0").touch()
    (folder.run / "8f9e0a4c-of-vllm").touch()
    (folder.run / "pg").mkdir()
    prepare(tmp_path)

    assert [path.name for path in folder.run.iterdir()] == ["pg"]


def test_ports_are_kept_between_starts(tmp_path: Path) -> None:
    folder = prepare(tmp_path)

    assert choose_ports(folder, 0) == choose_ports(folder, 0)


def test_a_private_port_that_was_taken_meanwhile_is_replaced(tmp_path: Path) -> None:
    folder = prepare(tmp_path)
    before = choose_ports(folder, 0)
    with socket.socket() as other:
        other.bind(("127.0.0.1", before["keycloak"]))
        other.listen()
        after = choose_ports(folder, 0)

    assert after["keycloak"] != before["keycloak"]
    assert after["front"] == before["front"]


def test_the_public_port_is_the_one_that_was_asked_for(tmp_path: Path) -> None:
    assert choose_ports(prepare(tmp_path), 8099)["front"] == 8099


def test_settings_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    folder = prepare(tmp_path)
    values = {
        "path": tmp_path / 'é"x\\',
        "number": 3,
        "on": True,
        "clients": {"0": ["*"]},
        "nothing": {},
    }
    path = write_settings(folder, "part", values)

    assert tomllib.loads(path.read_text("utf-8")) == values | {"path": str(values["path"])}
    assert path.read_text("utf-8") == toml(values)
