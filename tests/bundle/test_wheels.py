import io
import zipfile
from pathlib import Path

import pytest

from appliance.bundle.wheels import (
    SETS,
    Wheel,
    chosen,
    licence_in,
    licence_of,
    normalised,
    read_lock,
    write_lock,
)
from appliance.errors import FormatError
from tests.bundle.payloads import wheel

SITE = Path(__file__).parents[2] / "offline-wheels" / "site"
ONE = Wheel("one", "1.0", "one-1.0-py3-none-any.whl", 10, "a" * 64)
TWO = Wheel("two", "2.0", "two-2.0-py3-none-any.whl", 20, "b" * 64)


def pylock(*files: str, name: str = "One.Two") -> str:
    """Return what uv writes of a package that has these wheels; sizes are their places."""
    wheels = "".join(
        f'[[packages.wheels]]\nurl = "https://example.org/f/{file}"\nsize = {place}\n'
        f'hashes = {{ sha256 = "{place:064x}" }}\n'
        for place, file in enumerate(files, 1)
    )
    return f'lock-version = "1.0"\n[[packages]]\nname = "{name}"\nversion = "1.0"\n{wheels}'


def test_a_lock_comes_back_from_its_text_sorted_by_name() -> None:
    assert read_lock(write_lock([TWO, ONE]), "x") == [ONE, TWO]


def test_a_lock_of_pip_enforces_the_hash() -> None:
    assert ONE.line.startswith(f"one==1.0 --hash=sha256:{'a' * 64}  # ")


@pytest.mark.parametrize("name", [*SETS, "vllm-gpu"])
def test_the_locks_of_the_repository_name_each_package_once(name: str) -> None:
    found = read_lock((SITE / f"{name}.lock").read_text(), name)
    assert len({w.name for w in found}) == len(found) > 10
    assert "://" not in (SITE / f"{name}.lock").read_text()


@pytest.mark.parametrize(
    "line",
    [
        "one==1.0  # one-1.0-py3-none-any.whl 10",
        f"one==1.0 --hash=sha256:{'a' * 63}  # one-1.0-py3-none-any.whl 10",
        f"one==1.0 --hash=sha256:{'A' * 64}  # one-1.0-py3-none-any.whl 10",
        f"one==1.0 --hash=sha256:{'a' * 64}  # one-1.0.tar.gz 10",
        f"one==1.0 --hash=sha256:{'a' * 64}  # ../one-1.0-py3-none-any.whl 10",
        f"one==1.0 --hash=sha256:{'a' * 64}  # one-1.0-py3-none-any.whl ten",
        f"one==1.0 --hash=sha256:{'a' * 64}  # one-1.0-py3-none-any.whl",
        "one @ https://example.org/one-1.0-py3-none-any.whl",
        "-e .",
    ],
    ids=["no hash", "short hash", "upper case", "no wheel", "climbing", "no size", "sizeless",
         "an address", "editable"],
)  # fmt: skip
def test_a_line_that_is_not_locked_is_refused_with_its_number(line: str) -> None:
    with pytest.raises(FormatError, match="appliance, line 2"):
        read_lock(f"{ONE.line}\n{line}\n", "appliance")


@pytest.mark.parametrize(
    ("files", "best"),
    [
        (["o-1.0-py3-none-any.whl", "o-1.0-cp313-cp313-manylinux_2_17_x86_64.whl"], 2),
        (["o-1.0-cp39-abi3-manylinux_2_17_x86_64.whl", "o-1.0-py3-none-any.whl"], 1),
        (["o-1.0-cp311-abi3-manylinux_2_28_x86_64.whl",
          "o-1.0-cp39-abi3-manylinux_2_28_x86_64.whl"], 1),
        (["o-1.0-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
          "o-1.0-cp313-cp313-manylinux_2_28_x86_64.whl"], 2),
        (["o-1.0-cp313-cp313t-manylinux_2_17_x86_64.whl", "o-1.0-py2.py3-none-any.whl"], 2),
    ],
    ids=["own before pure", "stable before pure", "newer stable", "newer glibc", "no threads"],
)  # fmt: skip
def test_the_wheel_that_pip_would_take_is_chosen(files: list[str], best: int) -> None:
    (found,) = chosen(pylock(*files))
    assert (found.name, found.file, found.size) == ("one-two", files[best - 1], best)


@pytest.mark.parametrize(
    "file",
    [
        "o-1.0-cp312-cp312-manylinux_2_17_x86_64.whl", "o-1.0-cp314-abi3-manylinux1_x86_64.whl",
        "o-1.0-cp313-cp313-musllinux_1_2_x86_64.whl", "o-1.0-cp313-cp313-win_amd64.whl",
        "o-1.0-cp313-cp313-manylinux_2_17_aarch64.whl", "o-1.0-py2-none-any.whl",
    ],
)  # fmt: skip
def test_a_package_without_a_wheel_for_the_target_is_named(file: str) -> None:
    with pytest.raises(FormatError, match=r"One\.Two: no wheel for Debian 13"):
        chosen(pylock(file))


def test_a_plus_in_a_version_is_a_plus_in_the_file() -> None:
    (found,) = chosen(pylock("o-1.0%2Bcpu-py3-none-any.whl"))
    assert found.file == "o-1.0+cpu-py3-none-any.whl"


def test_names_are_compared_as_indexes_do() -> None:
    assert normalised("Jinja2_-.X") == "jinja2-x"


def test_the_licence_of_a_wheel_is_what_it_declares() -> None:
    assert licence_of(io.BytesIO(wheel(licence="MIT OR Apache-2.0"))) == "MIT OR Apache-2.0"


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        ("License: BSD\nLicense-Expression: BSD-3-Clause\n", "BSD-3-Clause"),
        ("Classifier: License :: OSI Approved :: MIT License\nLicense: see file\n",
         "MIT License"),
        ("License: MIT\n  and a whole text\n", "MIT"),
        ("Name: x\n", ""),
    ],
    ids=["expression", "classifier", "first line", "none"],
)  # fmt: skip
def test_a_licence_is_the_most_exact_of_what_is_declared(metadata: str, licence: str) -> None:
    assert licence_in(metadata) == licence


def test_what_is_no_wheel_is_refused() -> None:
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    for data in (b"PK", empty.getvalue()):
        with pytest.raises(FormatError, match="not a wheel"):
            licence_of(io.BytesIO(data))
