"""`make smoke`, whole: a stack of its own, from nothing to the verified receipt."""

import re
import subprocess

import pytest

from appliance.site.programs import CASEMATE
from appliance.site.smoke import QUESTION

pytestmark = pytest.mark.stack


@pytest.mark.timeout(400)
def test_a_stack_starts_answers_with_its_source_and_receipt_and_stops() -> None:
    done = subprocess.run([CASEMATE, "smoke"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert QUESTION in done.stdout
    assert "[1] " in done.stdout
    assert re.search(r"Reçu de l’enregistrement \d+ : authentique", done.stdout)
