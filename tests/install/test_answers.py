import pytest

from appliance.install.answers import (
    QUESTIONS,
    Answers,
    AnswersError,
    check,
    missing,
    read_answers,
)
from tests.install.stage import GIVEN

WHOLE = """
site_name = "Atelier d'essai"
domain = "casemate.site.internal"
time_zone = "Europe/Paris"
profile = "cpu"
operator = "C. Vasseur"
users_address = "192.0.2.10"
time_servers = ["192.0.2.1", "heure.site.internal"]
[zones.users]
interface = "eno1"
sources = ["192.0.2.0/24"]
[[media]]
serial = "S-0042"
handed_by = "A. Martin"
[[overrides]]
check = "memory"
reason = "Mémoire commandée"
"""


def test_a_whole_file_is_taken() -> None:
    answers = check(read_answers(WHOLE))
    assert answers.administrators == "admin.casemate.site.internal"
    assert answers.zones["users"].sources == ("192.0.2.0/24",)
    assert answers.media[0].scanned == "non déclaré"


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== c.vasseur@poste-12"


def person(**changes: object) -> dict[str, object]:
    """Return answers that name one person."""
    named = {"login": "vasseur", "name": "C. Vasseur", "ssh_keys": [KEY], **changes}
    return {**GIVEN, "people": [named]}


def test_a_person_has_no_right_that_is_not_given() -> None:
    (found,) = check(person()).people
    assert (found.login, found.rights, found.ssh_keys) == ("vasseur", "none", (KEY,))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("login", "root", id="root"),
        pytest.param("login", "casemate-secours", id="an account of ours"),
        pytest.param("login", "Vasseur", id="capitals"),
        pytest.param("login", "v\nroot", id="two lines"),
        pytest.param("rights", "all", id="rights"),
        pytest.param("ssh_keys", [f'command="sh" {KEY}'], id="a key with an order"),
        pytest.param("ssh_keys", [f"{KEY}\nssh-ed25519 AAAA"], id="two keys in one"),
        pytest.param("ssh_keys", ["ssh-rsa AAAAB3NzaC1yc2E= x"], id="an old algorithm"),
        pytest.param("password", "aube-7-pignon-vert", id="a password"),
    ],
)
def test_a_person_that_the_machine_would_not_take_is_refused(name: str, value: object) -> None:
    with pytest.raises(AnswersError, match=name):
        check(person(**{name: value}))


def test_a_straight_apostrophe_becomes_a_french_one() -> None:
    assert check(GIVEN).site_name == "Atelier d’essai"


def test_only_what_the_file_leaves_out_is_asked() -> None:
    assert missing(GIVEN) == []
    assert missing({"profile": "cpu"}) == ["site_name", "domain", "time_zone", "operator"]


def test_the_questions_are_the_answers_without_a_default() -> None:
    required = {n for n, field in Answers.model_fields.items() if field.is_required()}
    assert set(QUESTIONS) == required


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("profile", "tpu", id="profile"),
        pytest.param("domain", "Casemate.Site", id="capitals"),
        pytest.param("domain", "casemate", id="no dot"),
        pytest.param("domain", "a..b", id="empty label"),
        pytest.param("domain", "casemate.site.internal\n", id="line end"),
        pytest.param("site_name", "{{ lookup('pipe', 'id') }}", id="template"),
        pytest.param("site_name", "a\nb", id="two lines"),
        pytest.param("site_name", "<b>", id="markup"),
        pytest.param("site_name", "", id="empty"),
        pytest.param("operator", "x" * 81, id="long"),
        pytest.param("time_zone", "../../etc/passwd", id="path"),
        pytest.param("gateways", 0, id="no gateway"),
        pytest.param("gateways", 17, id="many gateways"),
        pytest.param("users_address", "192.0.2", id="address"),
        pytest.param("zones", {"dmz": {"interface": "lo"}}, id="unknown zone"),
        pytest.param("zones", {"users": {"interface": "a b"}}, id="interface"),
        pytest.param("site_toml", "site.toml", id="relative path"),
        pytest.param("overrides", [{"check": "memory"}], id="override without a reason"),
        pytest.param(
            "models",
            [{"instance": "chat", "kind": "chat", "id": "../etc", "name": "m", "context": 64}],
            id="folder of a model",
        ),
        pytest.param("alerts", {"relay": "r.site.internal"}, id="alerts for nobody"),
        pytest.param("alerts", {"relay": "r", "to": "a@b.fr"}, id="a relay without a domain"),
        pytest.param(
            "alerts", {"relay": "r.site.internal", "to": 'a"@b.fr'}, id="quote in a mailbox"
        ),
        pytest.param(
            "alerts", {"relay": "r.site.internal", "to": "a@b.fr\n"}, id="mailbox, line end"
        ),
        pytest.param("password", "hunter2", id="unknown key"),
    ],
)
def test_an_answer_that_is_not_of_its_form_is_named(name: str, value: object) -> None:
    with pytest.raises(AnswersError, match=name):
        check({**GIVEN, name: value})


def test_an_unknown_key_of_a_file_is_named_before_anything_is_asked() -> None:
    with pytest.raises(AnswersError, match="sitename"):
        read_answers('sitename = "x"')


def test_a_file_that_is_not_toml_is_refused() -> None:
    with pytest.raises(AnswersError, match="illisibles"):
        read_answers("domain = ")
