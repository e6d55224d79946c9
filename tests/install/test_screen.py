from appliance.install.phases import BY_NAME
from appliance.install.preflight import Check, Level
from appliance.install.screen import Language, begins, checked, duration, ends, resumes, total

FR, EN = Language.FR, Language.EN


def test_each_phase_says_how_long_and_whether_one_may_switch_off() -> None:
    assert begins(BY_NAME["media"], FR) == (
        "[ 2/12] Vérification du support — environ 2 min 00 s. Vous pouvez éteindre ici : oui"
    )
    assert begins(BY_NAME["system"], FR).endswith("Vous pouvez éteindre ici : NON")
    assert begins(BY_NAME["system"], EN).endswith("You may switch off here: NO")


def test_a_phase_that_is_done_says_how_long_it_took_and_what_it_changed() -> None:
    assert ends(75, 12, FR) == "        fait en 1 min 15 s, 12 modification(s)"
    assert ends(3, None, EN) == "        done in 3 s"


def test_a_start_that_goes_on_says_what_is_done() -> None:
    assert resumes([BY_NAME["media"], BY_NAME["import"]], FR) == (
        "Reprise : phases déjà faites 2, 3."
    )


def test_a_check_shows_its_remedy() -> None:
    line = checked(Check("luks", Level.FAIL, "Chiffrement", "disque en clair", "Chiffrez."))
    assert line.splitlines() == [
        "        ✗ Chiffrement : disque en clair",
        "          Chiffrez.",
    ]


def test_a_check_that_holds_shows_no_remedy() -> None:
    held = Check("luks", Level.PASS, "Chiffrement", "LUKS2", "Chiffrez.")
    assert checked(held) == "        ✓ Chiffrement : LUKS2"


def test_the_last_line_counts_the_changes() -> None:
    assert total(0, 62, FR) == "Installation terminée en 1 min 02 s : 0 modification(s)."
    assert duration(59) == "59 s"
