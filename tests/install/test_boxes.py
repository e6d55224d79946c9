from appliance.install.answers import check
from appliance.install.boxes import ZONES, Brought, sections, summary
from appliance.install.inventory import ZONES as OF_INVENTORY
from appliance.install.preflight import MEMORY_NEEDED
from tests.install.stage import GIVEN

ANSWERS = check(GIVEN)
BROUGHT = Brought("1.0.0", 7, "ab" * 32, 1_795_000_000, 10 << 30, 1)


def words(brought: Brought | None) -> list[str]:
    return [box.text[0] for one in sections(ANSWERS, brought) for box in one.boxes]


def test_the_zones_are_those_of_the_inventory() -> None:
    assert tuple(ZONES) == OF_INVENTORY


def test_each_text_is_said_twice() -> None:
    for one in sections(ANSWERS, BROUGHT):
        assert all(one.title)
        assert all(all(box.text) for box in one.boxes)
        assert all(all(name) for name in one.header)
        assert len(one.header) == len(one.widths)
        assert all(len(row) == len(one.header) for row in one.rows)


def test_room_and_memory_are_those_that_the_checks_want() -> None:
    assert "place libre sous /var/lib/casemate : 26,0 Gio" in words(BROUGHT)
    assert MEMORY_NEEDED["cpu"] == 5 << 30
    assert "mémoire : au moins 5,0 Gio" in words(BROUGHT)


def test_a_bundle_that_was_not_read_leaves_no_number_behind() -> None:
    assert [value for _, value in summary(ANSWERS, None)][-1] == (
        "supports non lus pour cette fiche",
        "media not read for this sheet",
    )
    assert not any("SHA-256" in one for one in words(None))
    assert any("SHA-256" in one for one in words(BROUGHT))


def test_a_site_that_is_not_declared_is_said_to_be_a_sample() -> None:
    assert any("n’est qu’un exemple" in one for one in words(None))
