"""Key pairs of a realm that exists in tests only."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.identity.tokens import Signer


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer(rsa.generate_private_key(65537, 2048), "test-key")


@pytest.fixture(scope="session")
def stranger() -> Signer:
    """Return another one, under the same name."""
    return Signer(rsa.generate_private_key(65537, 2048), "test-key")
