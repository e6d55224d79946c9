import io
from itertools import count

import pytest
from rich.console import Console

from appliance.site.board import Board


def _board(*, terminal: bool = False) -> tuple[Board, io.StringIO]:
    output = io.StringIO()
    ticks = count(step=2.5)
    board = Board(
        Console(file=output, force_terminal=terminal, width=80), lambda: float(next(ticks))
    )
    return board, output


def test_a_phase_is_told_at_its_start_and_at_its_end_with_its_time() -> None:
    board, output = _board()
    with board.shown(), board.phase("PostgreSQL"):
        assert output.getvalue() == "▸ PostgreSQL\n"
    assert output.getvalue().splitlines()[1] == "✓ PostgreSQL 2,5 s"


def test_a_phase_that_fails_says_so() -> None:
    board, output = _board()
    with pytest.raises(ValueError, match="no"), board.shown(), board.phase("Keycloak"):
        raise ValueError("no")
    assert "✗ Keycloak" in output.getvalue()


def test_on_a_terminal_only_the_end_stays() -> None:
    board, output = _board(terminal=True)
    with board.shown(), board.phase("PostgreSQL"):
        assert "▸" not in output.getvalue()
    assert "PostgreSQL" in output.getvalue()
