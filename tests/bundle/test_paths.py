import pytest

from appliance.bundle.paths import check_digest, check_path, check_unique
from appliance.errors import FormatError


@pytest.mark.parametrize(
    "path",
    ["debs/libx_1%3a2.0~rc1_amd64.deb", "wheels/vllm/a+b-1.0.whl", ".hidden/é.json", "a/..b"],
)
def test_a_usual_path_is_accepted(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "", "/etc/passwd", "../up", "a/../b", "a//b", "a/", "./a", "a\\b", "a\0b", "a\nb",
        "C:x", "what?", "a*", 'a"b', "end.", "end ", " start", "CON", "a/nul.txt", "Com1.json",
        "x" * 201, "a/" * 16 + "b", "d/" * 10 + "y" * 390, "a\u2028b", "a\x7fb", "a\udc80b",
    ],
)  # fmt: skip
def test_a_path_that_could_leave_or_mean_something_else_is_refused(path: str) -> None:
    with pytest.raises(FormatError):
        check_path(path)


@pytest.mark.parametrize(
    "paths", [["a", "a"], ["a/B", "a/b"], ["a", "a/b"], ["É", "é"]], ids=repr
)
def test_two_paths_for_one_place_are_refused(paths: list[str]) -> None:
    with pytest.raises(FormatError):
        check_unique(paths)


def test_different_paths_are_accepted() -> None:
    check_unique(["a/b", "a/c", "ab", "a.b"])


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "A" * 64, "0" * 63 + "\n", "g" * 64])
def test_only_lower_case_hexadecimal_of_the_right_length_is_a_digest(text: str) -> None:
    with pytest.raises(FormatError):
        check_digest(text)
    assert check_digest("0f" * 32) == "0f" * 32
