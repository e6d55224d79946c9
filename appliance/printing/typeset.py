"""Sets documents in a process of their own, which has bounds and no privilege to lose.

The same data and templates give the same bytes, on any machine: the date of a document is one
of its facts, and its letters come with the typesetter.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Self

from appliance.errors import ApplianceError
from appliance.printing.letters import shaped

PATIENCE = 60.0  # seconds
FRAME = "frame.typ"


class PrintingError(ApplianceError):
    """A document could not be set as PDF."""

    code = "CM-INS-70"


@dataclass(frozen=True, slots=True)
class Template:
    """A template of ours. It imports `frame.typ` and reads `facts.json`."""

    name: str
    text: str

    @classmethod
    def of(cls, package: str, name: str) -> Self:
        """Return a template of a package."""
        return cls(name, files(package).joinpath("templates", name).read_text("utf-8"))


def typeset(template: Template, facts: Mapping[str, object]) -> bytes:
    """Return a PDF/A-2a and PDF/UA-1 document.

    Args:
        template: Of ours: it is a program.
        facts: JSON; its strings are never markup, wherever they come from.

    Raises:
        PrintingError: The template and the facts do not fit, or the bounds were reached.
    """
    frame = Template.of("appliance.printing", FRAME)
    written = {FRAME: frame.text, template.name: template.text,
               "facts.json": json.dumps(shaped(facts))}  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="casemate-") as folder:
        for name, text in written.items():
            (Path(folder) / name).write_text(text, "utf-8")
        return _pressed(Path(folder), template.name)


def _pressed(folder: Path, main: str) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - our own program, no shell
            [sys.executable, "-I", "-m", "appliance.printing.press", str(folder / main)],
            stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=PATIENCE,
            env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "RAYON_NUM_THREADS": "1"},
        )  # fmt: skip
    except subprocess.CalledProcessError as exc:
        said = exc.stderr.decode("utf-8", "replace").strip()[-500:]
        raise PrintingError(
            f"Le document n’a pas pu être composé. / The document could not be set. {said}"
        ) from exc
    except subprocess.TimeoutExpired as exc:
        raise PrintingError(
            f"La composition a dépassé {PATIENCE:.0f} s. / Setting the document took longer."
        ) from exc
    return done.stdout
