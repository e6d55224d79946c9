"""Why a bundle is not accepted: one code, one sentence in French and in English, an exit code.

The exit codes are an interface: 1 refused, 3 a medium or chunk missing or damaged (copy it
again and resume), 4 not trusted. `VERIFY.sh` ends with the same ones.
"""

from appliance.errors import ApplianceError

EXIT_REFUSED, EXIT_DAMAGED, EXIT_UNTRUSTED = 1, 3, 4


class BundleError(ApplianceError):
    """Refused for a reason that copying again would not change."""

    exit_code = EXIT_REFUSED

    def __init__(self, code: str, french: str, english: str) -> None:
        super().__init__(f"{code} {french}\n{english}")
        self.code, self.french, self.english = code, french, english


class DamagedError(BundleError):
    """A medium or some of its bytes are missing or wrong: bring them again, then resume."""

    exit_code = EXIT_DAMAGED


class UntrustedError(BundleError):
    """Signed by nobody whom this site trusts, or too old, or revoked."""

    exit_code = EXIT_UNTRUSTED
