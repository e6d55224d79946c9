"""The built-in extractive engine: an OpenAI-compatible ASGI application that only quotes.

It reads the passages that the last system message gives (INTERFACES 4), quotes their best
sentences with their numbers, and says that it does. `usage` counts words.
"""

from collections.abc import Callable
from typing import Any

NOT_FOUND = "Je ne trouve pas de réponse dans les documents que vous pouvez lire."


def build(model: str, *, now: Callable[[], float]) -> Any:
    """Return the ASGI application."""
    raise NotImplementedError
