"""The stock apt of the machine reads a small signed archive, by file and without a network."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.bundle import debs
from appliance.bundle.apt import (
    SUITE,
    AptError,
    AptRoot,
    Source,
    machine_sources,
    mirror,
    own_codename,
    translated,
    without_epoch,
)
from appliance.bundle.debs import describe
from appliance.bundle.openpgp import ArchiveKey
from tests.bundle.payloads import Package

CODENAME = own_codename(Path("/etc/os-release").read_text())
KEY = ArchiveKey.from_seed(b"a" * 32, 1_795_000_000)
PACKAGES = [
    Package("one", "2:1.0-1", "two (>= 1), three | four\nRecommends: unwanted"),
    Package("two", "1.5"), Package("three", "3.0"), Package("unwanted"),
    Package("lonely", depends="absent"),
]  # fmt: skip


@dataclass
class Archive:
    """A signed archive of Debian's layout, and the /etc/apt of a machine that names it."""

    top: Path

    def write(self, key: ArchiveKey = KEY, packages: list[Package] = PACKAGES) -> AptRoot:
        index = debs.packages([(p.lock, describe(p.data)) for p in packages]).encode()
        place = self.top / f"archive/dists/{SUITE}/main/binary-amd64"
        place.mkdir(parents=True)
        (place / "Packages").write_bytes(index)
        release = (
            f"Origin: Test\nSuite: {SUITE}\nCodename: {SUITE}\nArchitectures: amd64\n"
            f"Components: main\nDate: Wed, 18 Nov 2026 11:06:40 UTC\nSHA256:\n"
            f" {hashlib.sha256(index).hexdigest()} {len(index)} main/binary-amd64/Packages\n"
        )
        (place.parents[1] / "InRelease").write_bytes(key.sign_text(release))
        for package in packages:
            (self.top / "archive" / package.lock.file).write_bytes(package.data)
        (self.top / "key.asc").write_bytes(KEY.public())
        machine = self.top / "etc"
        (machine / "sources.list.d").mkdir(parents=True)
        source = Source(f"file:{self.top}/archive", (CODENAME,), str(self.top / "key.asc"))
        (machine / "sources.list.d" / "debian.sources").write_text(source.stanza())
        root = AptRoot(self.top / "root", machine=machine)
        root.make()
        return root


@pytest.fixture
def root(tmp_path: Path) -> AptRoot:
    made = Archive(tmp_path).write()
    made.update()
    return made


def test_the_closure_of_a_package_is_what_it_takes_on_nothing_at_all(root: AptRoot) -> None:
    wanted = [p.lock for p in PACKAGES[:3]]
    assert root.closure(["one"]) == sorted(wanted, key=lambda deb: deb.name)


def test_what_is_fetched_has_the_names_and_bytes_of_the_lock(
    root: AptRoot, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    root.download([PACKAGES[0].lock, PACKAGES[1].lock], tmp_path / "in")
    assert {p.name: p.read_bytes() for p in (tmp_path / "in").iterdir()} == {
        "one_1.0-1_amd64.deb": PACKAGES[0].data, "two_1.5_amd64.deb": PACKAGES[1].data,
    }  # fmt: skip


def test_a_package_that_lacks_another_is_refused_in_the_words_of_apt(root: AptRoot) -> None:
    with pytest.raises(AptError, match="absent") as refused:
        root.closure(["lonely"])
    assert refused.value.code == "CM-INS-30"
    with pytest.raises(AptError, match="nowhere"):
        root.closure(["nowhere"])


def test_nothing_to_fetch_is_a_refusal(root: AptRoot) -> None:
    with pytest.raises(AptError, match="lists no package"):
        root.closure([])


def test_a_package_that_changed_in_the_archive_is_refused(
    root: AptRoot, tmp_path: Path
) -> None:
    lock = PACKAGES[1].lock
    place = tmp_path / "archive" / lock.file
    place.write_bytes(place.read_bytes()[:-1] + b"x")
    (tmp_path / "in").mkdir()
    with pytest.raises(AptError):
        root.download([lock], tmp_path / "in")


def test_an_index_that_another_key_signed_is_refused(tmp_path: Path) -> None:
    other = Archive(tmp_path).write(ArchiveKey.from_seed(b"b" * 32, 1_795_000_000))
    with pytest.raises(AptError):
        other.update()


def test_an_index_that_was_changed_after_its_signature_is_refused(tmp_path: Path) -> None:
    archive = Archive(tmp_path).write()
    place = tmp_path / f"archive/dists/{SUITE}/InRelease"
    place.write_bytes(place.read_bytes().replace(b"Origin: Test", b"Origin: Evil"))
    with pytest.raises(AptError):
        archive.update()


def test_a_further_source_is_read_beside_those_of_the_machine(tmp_path: Path) -> None:
    first, second = Archive(tmp_path / "1"), Archive(tmp_path / "2")
    first.write(packages=PACKAGES[:2])
    second.write(packages=PACKAGES[2:3])
    extra = tmp_path / "pgdg.sources"
    extra.write_text(
        Source(
            f"file:{tmp_path}/2/archive", (SUITE,), str(tmp_path / "2/key.asc")
        ).stanza()
    )  # fmt: skip
    both = AptRoot(tmp_path / "both", (extra,), tmp_path / "1" / "etc")
    both.make()
    both.update()
    assert [deb.name for deb in both.closure(["one"])] == ["one", "three", "two"]
    both = AptRoot(tmp_path / "both", (), tmp_path / "1" / "etc")
    both.make()
    assert [p.name for p in (tmp_path / "both/etc/sources.list.d").iterdir()] == [
        "debian.sources"
    ]


def test_a_machine_without_apt_says_so(root: AptRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(AptError, match="apt-get is missing"):
        root.update()


def test_a_machine_without_sources_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "old.list.save").write_text("deb http://x bookworm main\n")
    (tmp_path / "sources.list").write_text("# deb http://x bookworm main\n")
    with pytest.raises(AptError, match="no Debian source"):
        machine_sources(tmp_path)


DEB822 = """\
# Enabled by the installer
Types: deb
URIs: https://example.org/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main
Signed-By: /usr/share/keyrings/k.gpg

Types: deb
URIs: https://example.org/security
Suites: bookworm-security

Types: deb
URIs: https://example.org/other
Suites: stable
"""
ONE_LINE = """\
deb [arch=amd64 signed-by=/k.asc] https://example.org/debian bookworm main
# deb https://example.org/commented bookworm main
deb-src https://example.org/sources bookworm main
deb https://example.org/security bookworm/updates main
"""


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        pytest.param(["http://miroir.site.internal/debian {0} main"],
                     "http://miroir.site.internal/debian", id="a mirror"),
        pytest.param(["http://m.site.internal/s {0}-security main",
                      "https://m.site.internal/debian {0} main"],
                     "https://m.site.internal/debian", id="the archive, not its updates"),
        pytest.param(["cdrom:[Debian]/ {0} main", "file:/srv/debian {0} main"],
                     "file:/srv/debian", id="what debootstrap can read"),
        pytest.param(["http://m.site.internal/tools stable main"], "", id="no archive"),
        pytest.param([], "", id="no source"),
    ],
)  # fmt: skip
def test_debootstrap_is_sent_where_apt_of_the_machine_goes(
    tmp_path: Path, lines: list[str], found: str
) -> None:
    text = "".join(f"deb {line.format(CODENAME)}\n" for line in lines)
    (tmp_path / "sources.list").write_text(text)
    assert mirror(tmp_path) == found


def test_suites_of_the_machine_are_renamed_for_the_target() -> None:
    found = translated(DEB822, "bookworm", deb822=True)
    assert found == [
        Source("https://example.org/debian", ("trixie", "trixie-updates"),
               "/usr/share/keyrings/k.gpg"),
        Source("https://example.org/security", ("trixie-security",),
               "/usr/share/keyrings/debian-archive-keyring.gpg"),
    ]  # fmt: skip


def test_sources_of_one_line_are_read_too() -> None:
    found = translated(ONE_LINE, "bookworm", deb822=False)
    assert [(s.uris, s.suites, s.signed_by) for s in found] == [
        ("https://example.org/debian", ("trixie",), "/k.asc"),
        ("https://example.org/security", ("trixie/updates",),
         "/usr/share/keyrings/debian-archive-keyring.gpg"),
    ]  # fmt: skip


def test_a_stanza_comes_back_as_the_source_that_it_is() -> None:
    source = Source("https://example.org/debian", (SUITE,), "/k.gpg")
    assert translated(source.stanza(), SUITE, deb822=True) == [source]


@pytest.mark.parametrize(
    ("text", "name"),
    [("VERSION_CODENAME=bookworm\nID=debian\n", "bookworm"),
     ('ID=debian\nVERSION_CODENAME="trixie"\n', "trixie"), ("ID=debian\n", "trixie")],
    ids=["plain", "quoted", "absent"],
)  # fmt: skip
def test_the_code_name_of_the_machine_is_read(text: str, name: str) -> None:
    assert own_codename(text) == name


def test_a_file_of_the_archive_has_no_epoch_in_its_name() -> None:
    assert without_epoch("one_2%3a1.0-1_amd64.deb") == "one_1.0-1_amd64.deb"
    assert without_epoch("one_1.0-1_amd64.deb") == "one_1.0-1_amd64.deb"
