"""The policy in force, with what is built from it once: digest and guards.

`casemate site apply` replaces the file; a worker notices within seconds. A file that cannot be
read leaves the old policy in force, and says so.
"""

import base64
import logging
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import FormatError
from appliance.gateway.guards import Guard
from appliance.identity import policy as policies
from appliance.identity.policy import Policy
from appliance.identity.principal import Scope

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ruling:
    """One policy, ready for use."""

    policy: Policy
    digest: str  # base64, as leaves have it
    inbound: Guard
    outbound: Guard

    @classmethod
    def of(cls, policy: Policy) -> "Ruling":
        """Build the guards of a policy."""
        digest = base64.b64encode(policy.digest()).decode()
        guards = policy.guards
        return cls(policy, digest, Guard(guards.inbound), Guard(guards.outbound))


class Rulings:
    """The policy of a file, as it was when last looked at."""

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            FormatError: It cannot be read.
        """
        self._path = path
        self._seen = self._stamp()
        self.current = Ruling.of(policies.read(path))

    def look(self) -> None:
        """Take over a file that was replaced."""
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self.current = Ruling.of(policies.read(self._path))
        except FormatError as exc:
            log.error("policy.unreadable", extra={"reason": str(exc)})  # noqa: TRY400 - no stack

    def scopes(self, roles: frozenset[str]) -> frozenset[Scope]:
        """Return what roles may do now."""
        return self.current.policy.scopes(roles)

    def _stamp(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return found.st_ino, found.st_mtime_ns, found.st_size
