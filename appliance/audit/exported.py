"""The program that verifies an export, which needs nothing of ours; and its use from here.

`verify_export.py.txt` is one file for python3 alone. People compare its digest with the one of
the installation report before they run it. `casemate audit verify` runs the same file on an
export, so that there is one set of verdicts: what it says here, it says on any machine.
"""

import functools
import hashlib
import sys
from importlib.resources import files
from types import ModuleType
from typing import Any

VERIFIER = "verify_export.py.txt"


def verifier() -> str:
    """Return the program."""
    return (files("appliance.audit") / VERIFIER).read_text("utf-8")


def verifier_digest() -> str:
    """Return its SHA-256, hex: what people compare before they run it."""
    return hashlib.sha256(verifier().encode()).hexdigest()


@functools.cache
def loaded() -> Any:
    """Return the program as a module."""
    module = ModuleType("casemate_verify_export")
    sys.modules[module.__name__] = module
    exec(compile(verifier(), VERIFIER, "exec"), module.__dict__)  # noqa: S102 - a file of ours
    return module


def verify(*argv: str) -> tuple[int, str, dict[str, Any]]:
    """Verify an export, with the words of the program's command line.

    Returns:
        Exit code, text for people, facts for programs.
    """
    program = loaded()
    return program.verify(program.options_of(list(argv)))  # type: ignore[no-any-return]
