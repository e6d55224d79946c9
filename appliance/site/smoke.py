"""`casemate smoke`: one stack on free ports, one question, one receipt, nothing left.

A person signs in through Keycloak's form, asks, reads the sources, saves the receipt; it is
then checked with the code that an auditor's machine has, against the key of the log.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from appliance.audit.receipt import Verified, check
from appliance.site.demo import Stack, Wish, prepared, running
from appliance.site.visitor import Reply, Visitor

PERSON = "camille"
QUESTION = "Combien de jours de télétravail sont possibles par semaine ?"


@dataclass(frozen=True, slots=True)
class Shown:
    """What came of it."""

    reply: Reply
    verified: Verified


async def ask_once(stack: Stack) -> Shown:
    """Sign in, ask, and check the receipt of the answer.

    Raises:
        VisitError: A page was not what a person needs.
        VerificationError: The receipt does not hold.
    """
    async with Visitor(stack.layout.origin) as visitor:
        await visitor.sign_in(PERSON, stack.accounts[PERSON].password, None)
        reply = await visitor.ask(QUESTION)
        receipt = await visitor.download(reply.receipt)
    verified = check(receipt, stack.folder.verifier_key.read_text("utf-8"))
    return Shown(reply, verified)


async def smoke(console: Console) -> None:
    """Start a stack in a temporary folder, show one answer with its receipt, stop."""
    with tempfile.TemporaryDirectory(prefix="casemate-") as directory:
        wish = Wish(Path(directory), vectors=False)
        layout = prepared(wish, None)
        async with running(layout, wish, console) as stack:
            shown = await ask_once(stack)
            console.print(f"\n{QUESTION}\n\n{shown.reply.text}\n", markup=False)
            for number, title in enumerate(shown.reply.sources, 1):
                console.print(f"  [{number}] {title}", markup=False)
            console.print(
                f"Reçu de l’enregistrement {shown.verified.index} : authentique, "
                "vérifié avec la clé du journal."
            )
