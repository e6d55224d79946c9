import psycopg
import pytest

from appliance.site.scram import matches

# RFC 7677, 3: user "user", password "pencil"; keys derived from its salt and iterations.
VERIFIER = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)


def test_the_password_of_the_standard_belongs_to_its_verifier() -> None:
    assert matches(VERIFIER, "pencil")


@pytest.mark.parametrize(
    ("verifier", "password"),
    [
        (VERIFIER, "Pencil"),
        (VERIFIER.replace("4096", "4095"), "pencil"),
        (VERIFIER.replace("WG5d", "WG5e"), "pencil"),
        (VERIFIER + "\n", "pencil"),
        ("md5d41d8cd98f00b204e9800998ecf8427e", "pencil"),
        ("", ""),
        (None, "pencil"),
    ],
    ids=["password", "iterations", "key", "newline", "md5", "empty", "none"],
)
def test_anything_else_does_not(verifier: str | None, password: str) -> None:
    assert not matches(verifier, password)


def test_what_postgresql_stores_is_understood(server: str) -> None:
    with psycopg.connect(server) as conn:
        conn.execute("SET LOCAL password_encryption = 'scram-sha-256'")
        conn.execute("CREATE ROLE scram_of_a_test PASSWORD 'a-password'")
        row = conn.execute(
            "SELECT rolpassword FROM pg_authid WHERE rolname = 'scram_of_a_test'"
        ).fetchone()
        assert row is not None
        assert matches(row[0], "a-password")
        assert not matches(row[0], "another")
        conn.rollback()
