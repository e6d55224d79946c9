"""One start of an installation, for a process of its own that a test may lose by SIGKILL."""

import os
import signal
from pathlib import Path

from appliance.install import installing, work
from appliance.install.phases import Phase, State
from appliance.install.places import Places
from appliance.install.screen import Language
from tests.install.conftest import READY
from tests.install.stage import FakeBundle


def main(folder: Path, victim: str) -> None:
    """Install below `folder`, on a machine that is ready and with a recorder that hears all.

    Dies in the phase `victim` when `folder/kill` is there, which is taken away first.
    """
    setattr(work, "observe", lambda *_: READY)  # noqa: B010 - not exported
    do = work.Work.do

    def mortal(self: work.Work, phase: Phase, state: State) -> None:
        self.tell = lambda *_: None
        kill = folder / "kill"
        if phase.name == victim and kill.exists():
            moment = kill.read_text()
            kill.unlink()
            if moment == "after":
                do(self, phase, state)
            os.kill(os.getpid(), signal.SIGKILL)
        do(self, phase, state)

    setattr(work.Work, "do", mortal)  # noqa: B010 - a method is not assigned otherwise
    wish = installing.Wish(Language.FR, folder / "answers.toml")
    installing.install(Places(folder / "root"), wish, FakeBundle(), lambda _: None)
