import subprocess
import time
from pathlib import Path

import pytest

from appliance.install import container
from appliance.install.container import PLAIN, Card, Container, ContainerError, bare, call, tool

# Programs of the host, which write down how they are called. The container is a sleep.
LOG = 'echo "${{0##*/}} $*" >>"{log}"\n'
FAKES = {
    "systemd-nspawn": "sleep 60 & wait\n",
    "nsenter": 'case "$*" in *is-system-running*) echo {state} ;; *hostname*) exit 3 ;; esac\n',
    "ip": "",
    "mount": "",
    "umount": "",
    "kill": 'exec /bin/kill "$@"\n',
    "debootstrap": 'test -z "{broken}" || {{ echo "no mirror" >&2; exit 1; }}\n',
}


class Host:
    """A machine that rehearses."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "calls"
        (folder / "bin").mkdir()
        self.set()

    def set(self, *, state: str = "running", broken: str = "") -> None:
        for name, body in FAKES.items():
            path = self.folder / "bin" / name
            text = body.format(state=state, broken=broken) if "{" in body else body
            path.write_text("#!/bin/sh\n" + LOG.format(log=self.log) + text)
            path.chmod(0o755)

    def calls(self, program: str) -> list[str]:
        lines = self.log.read_text().splitlines()
        return [line for line in lines if line.split()[0] == program]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)
    monkeypatch.setitem(PLAIN, "PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setattr(container, "_SYSTEMD", tmp_path / "none")
    return made


@pytest.fixture
def box(host: Host, tmp_path: Path) -> Container:
    folder = tmp_path / "machine"
    (folder / "root/etc").mkdir(parents=True)
    media = (tmp_path / "first", tmp_path / "second")
    cards = (Card("eno1", ("192.0.2.10/24",)), Card("eno2"))
    assert host.folder == tmp_path
    return Container(tmp_path / "trixie", folder, "repetition", media, cards)


def alive(process: int) -> bool:
    """Tell whether a process goes on, for the time that its end may take to be noticed."""
    for _ in range(50):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        if state == "Z":
            return False
        time.sleep(0.1)
    return True


def test_the_container_has_no_network_but_cards_that_end_nowhere(
    host: Host, box: Container
) -> None:
    box.start()
    try:
        (started,) = host.calls("systemd-nspawn")
        assert "--private-network" in started
        assert f"--bind-ro={box.media[1]}:/media/2" in started
        assert "--register=no --keep-unit" in started
        assert "--capability=CAP_BPF --system-call-filter=bpf" in started
        made = host.calls("ip")
        assert made[0] == f"ip netns add {box.outside}"
        inside = f"ip netns exec {box.outside} ip link add out0 type veth peer name eno1 netns"
        assert made[1].startswith(inside)
        assert not any("route" in line for line in made + host.calls("nsenter"))
        entered = "\n".join(host.calls("nsenter"))
        assert "-n ip addr add 192.0.2.10/24 dev eno1" in entered
        assert "addr add  dev" not in entered
        (mounted,) = host.calls("mount")
        assert f"lowerdir={box.tree},upperdir={box.folder}/upper" in mounted
        assert "127.0.1.1 repetition" in (box.root / "etc/hosts").read_text()
    finally:
        box.end()


def test_the_end_takes_the_power_and_removes_what_was_written(
    host: Host, box: Container
) -> None:
    box.start()
    leader = box._leader
    box.end()
    assert not box.folder.exists()
    assert not alive(leader)
    assert host.calls("ip")[-1] == f"ip netns del {box.outside}"


def test_the_end_takes_the_power_of_a_machine_that_another_process_left(
    host: Host, box: Container
) -> None:
    box.start()
    again = Container(box.tree, box.folder, box.name)
    assert again.find()
    assert again._leader == box._leader
    again.end()
    assert not alive(box._leader)
    assert not again.find()
    box.off()  # its own process is waited for
    assert host.calls("ip")[-1] == f"ip netns del {box.outside}"


def test_two_at_once_take_nothing_from_each_other(box: Container, tmp_path: Path) -> None:
    assert Container(box.tree, tmp_path / "other", box.name).outside != box.outside


def test_what_is_still_mounted_is_never_removed(
    box: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "is_mount", lambda _: True)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(ContainerError, match="still mounted"):
        box.end()
    assert box.folder.exists()


def test_a_container_that_does_not_start_says_what_its_console_said(
    host: Host, box: Container
) -> None:
    (host.folder / "bin/systemd-nspawn").write_text("#!/bin/sh\necho no cgroup\nexit 1\n")
    with pytest.raises(ContainerError, match="no cgroup"):
        box.start()
    box.end()


def test_a_container_that_never_comes_up_is_given_up(
    host: Host, box: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.set(state="starting")
    monkeypatch.setattr(container, "START", 0.5)
    with pytest.raises(ContainerError):
        box.start()
    box.end()


def test_words_run_inside_without_the_environment_of_outside(
    box: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROXY", "http://elsewhere")
    words = box.inside("true")
    assert words[words.index("--") + 1 :][:2] == ["/usr/bin/env", "-i"]
    assert not any("elsewhere" in word for word in words)
    assert words[-1] == "true"
    assert box.show("hostname") == 3
    assert box.ask("hostname").returncode == 3


def test_a_bare_system_is_made_once_and_only_counts_when_whole(
    host: Host, tmp_path: Path
) -> None:
    tree = tmp_path / "base/trixie"
    host.set(broken="yes")
    with pytest.raises(ContainerError, match="no mirror"):
        bare(tree, "")
    host.set()
    assert bare(tree, "http://debian.site.internal")
    assert not bare(tree, "")
    assert len(host.calls("debootstrap")) == 2
    assert host.calls("debootstrap")[1].endswith(f"trixie {tree} http://debian.site.internal")


def test_packages_come_from_where_this_machine_has_its_own(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "mirror", lambda: "http://miroir.site.internal/debian")
    assert bare(tmp_path / "trixie")
    (said,) = host.calls("debootstrap")
    assert said.endswith(f"trixie {tmp_path}/trixie http://miroir.site.internal/debian")


def test_a_program_that_is_missing_is_named_with_its_packages() -> None:
    with pytest.raises(ContainerError, match="systemd-container"):
        tool("no-such-program")


def test_a_program_that_fails_says_so(host: Host) -> None:
    host.set(broken="yes")
    with pytest.raises(ContainerError, match="debootstrap : no mirror"):
        call("debootstrap")
    assert subprocess.run([tool("ip"), "x"], check=False).returncode == 0
