"""What the console is trusted with: read once, from the files that its settings name."""

from dataclasses import dataclass, field
from pathlib import Path

from appliance.audit.key import parse_keys
from appliance.settings import ConsoleSettings, SettingsError, read_secret

HISTORY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Credentials:
    """Secrets of the console, and the key that verifies the log."""

    client: str = field(repr=False)  # of the OpenID Connect client
    session: bytes = field(repr=False)
    site: bytes = field(repr=False)
    history: bytes = field(repr=False)  # X25519 private key
    objects: bytes = field(repr=False)
    log_key: str


def console_credentials(settings: ConsoleSettings) -> Credentials:
    """Read them.

    Raises:
        SettingsError: One is absent, too short, or not of its form.
        FormatError: The keys of the log are no verifier keys.
    """
    history = read_secret(settings.history_key)
    if len(history) != HISTORY_BYTES:
        raise SettingsError(f"{settings.history_key}: not {HISTORY_BYTES} bytes")
    log_key = _text(settings.log_key)
    parse_keys(log_key)
    return Credentials(
        client=_text(settings.client_secret),
        session=read_secret(settings.session_key),
        site=read_secret(settings.site_secret),
        history=history,
        objects=read_secret(settings.object_key),
        log_key=log_key,
    )


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{path}: {exc}") from exc
