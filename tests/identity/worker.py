"""One worker process: asks its authenticator about each line, answers with a subject or a code.

Run as `python -m tests.identity.worker ISSUER BACKCHANNEL DSN`.
"""

import asyncio
import sys

from appliance.errors import ApplianceError
from appliance.settings import RealmSettings
from tests.identity.realm import authenticating


async def main(issuer: str, backchannel: str, dsn: str) -> None:
    realm = RealmSettings(issuer=issuer, backchannel=backchannel)
    async with authenticating(realm, dsn) as authenticator:
        while line := await asyncio.to_thread(sys.stdin.readline):
            try:
                caller = await authenticator.principal(line.strip().encode())
                sys.stdout.write(f"{caller.subject}\n")
            except ApplianceError as exc:
                sys.stdout.write(f"{exc.code}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
