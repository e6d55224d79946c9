import re
import sys
from typing import Any

import pytest

from tests.rehearsal.dialogue import talk
from tests.rehearsal.machine import RehearsalError
from tests.rehearsal.rack import CODE, PASSWORD, PROMPT, need

ASK = "import getpass; print('got', getpass.getpass('Password: ')); "
HANG = "import time; time.sleep(60)"


def python(source: str, says: list[list[str]], seconds: float = 20) -> dict[str, Any]:
    return talk([sys.executable, "-c", source], says, seconds)


def test_what_is_typed_answers_what_was_asked() -> None:
    found = python(ASK, [[PASSWORD, "mot"]])
    assert found["shown"].split() == ["Password:", "got", "mot"]
    assert (found["status"], found["unsaid"]) == (0, 0)


def test_a_question_that_never_comes_stays_unsaid() -> None:
    found = python("print('no question')", [[PASSWORD, "mot"]])
    assert (found["unsaid"], found["status"]) == (1, 0)


def test_what_was_shown_can_be_typed_back() -> None:
    source = "code = '314159'; print(code); print(input('first code: ') == code)"
    found = python(source, [[r"(\d{6}).*first code: $", "%1"]])
    assert found["shown"].split()[-1] == "True"


def test_a_program_that_does_not_end_is_ended() -> None:
    assert python(HANG, [], 0.5)["status"] == -9


def test_prompts_are_told_apart() -> None:
    assert re.search(PASSWORD, "[sudo] password: ")
    assert not re.search(PASSWORD, "password:")  # echo is not off yet
    assert re.search(CODE, "One-time password (OATH) for `anne': ")
    assert re.search(PROMPT, "anne@machine:~$ ")


def test_what_is_not_so_stops_the_rehearsal() -> None:
    need(true=True, said="")
    with pytest.raises(RehearsalError, match="why"):
        need(true=False, said="why")
