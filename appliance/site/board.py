"""What the person who starts the stack sees: each phase, how long it took, what went wrong.

On a terminal the running phases turn and count; elsewhere one line at each start and each end.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

Clock = Callable[[], float]  # seconds, monotonic


class Board:
    """Shows phases; several may run at once."""

    def __init__(self, console: Console, clock: Clock) -> None:
        """Show on `console`; time is read from `clock`."""
        self.console = console
        self._clock = clock
        self._began = clock()
        self._turning = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Keep the terminal up to date as long as the context lasts."""
        if not self.console.is_terminal:
            yield
            return
        with self._turning:
            yield

    @contextmanager
    def phase(self, label: str) -> Iterator[None]:
        """Show one phase from its start to its end, however it ends."""
        began = self._clock()
        task = self._start(label)
        mark = "[red]✗[/red]"
        try:
            yield
            mark = "[green]✓[/green]"
        finally:
            if task is not None:
                self._turning.remove_task(task)
            took = _seconds(self._clock() - began)
            self.console.print(f"{mark} {label} [dim]{took}[/dim]", highlight=False)

    def say(self, *shown: RenderableType) -> None:
        """Print between the phases."""
        for one in shown:
            self.console.print(one, highlight=False, soft_wrap=True)

    @property
    def elapsed(self) -> str:
        """Return the time since the board was made."""
        return _seconds(self._clock() - self._began)

    def _start(self, label: str) -> TaskID | None:
        if self.console.is_terminal:
            return self._turning.add_task(label, total=None)
        self.console.print(f"▸ {label}", highlight=False)
        return None


def _seconds(duration: float) -> str:
    return f"{duration:.1f} s".replace(".", ",")
