from appliance.install.answers import check, read_answers
from tests.rehearsal.canary import _elements
from tests.rehearsal.run import ANSWERS, DOMAIN

LISTED = """{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"set": {"family": "inet",
 "name": "seen", "table": "canary", "elem": [
 {"concat": ["tcp", "203.0.113.7", 443]},
 {"elem": {"val": {"concat": ["udp", "192.0.2.53", 53]}, "counter": {"packets": 1}}}]}}]}"""


def test_the_installer_takes_the_answers_of_the_rehearsal() -> None:
    found = check(read_answers(ANSWERS))
    assert (found.domain, found.zones["users"].interface) == (DOMAIN, "users0")


def test_each_element_of_the_canarys_set_is_read_with_a_counter_or_without() -> None:
    assert _elements(LISTED) == ["tcp 203.0.113.7 443", "udp 192.0.2.53 53"]


def test_an_empty_set_is_an_empty_list() -> None:
    assert _elements('{"nftables": [{"set": {"name": "seen"}}]}') == []
