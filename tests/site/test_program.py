import signal

import pytest

from appliance.site.program import Program, command, pause_before


async def _always() -> bool:
    return True


def test_a_program_dies_with_its_supervisor_by_its_own_stop_signal() -> None:
    program = Program("postgres", ["postgres"], _always, stop=signal.SIGINT)

    assert command(program)[:3] == ["setpriv", "--pdeathsig", "INT"]


def test_a_program_of_another_user_takes_its_groups_too() -> None:
    program = Program("postgres", ["postgres"], _always, user="pgserver")

    assert "--reuid pgserver --regid pgserver --init-groups -- postgres" in " ".join(
        command(program)
    )


def test_niceness_is_set_before_the_signal_of_death_is_asked_for() -> None:
    assert command(Program("x", ["y"], _always, niceness=10))[:4] == [
        "nice",
        "-n",
        "10",
        "setpriv",
    ]


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0), (1, 0), (2, 0.5), (3, 1), (5, 4), (6, 5), (90, 5)]
)
def test_the_pause_grows_but_never_beyond_five_seconds(failures: int, seconds: float) -> None:
    assert pause_before(failures) == seconds
