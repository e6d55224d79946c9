from pathlib import Path

from appliance.install.places import Places


def test_everything_is_below_the_root(tmp_path: Path) -> None:
    places = Places(tmp_path)
    names = [name for name in dir(Places) if isinstance(getattr(Places, name), property)]
    assert len(names) > 10
    for name in names:
        assert getattr(places, name).is_relative_to(tmp_path)


def test_on_a_site_the_record_is_where_the_documents_say() -> None:
    assert Places().install == Path("/var/lib/casemate/install")
    assert Places().release(7) == Path("/var/lib/casemate/releases/7")


def test_current_is_moved_at_once_and_says_what_it_names(tmp_path: Path) -> None:
    places = Places(tmp_path)
    assert places.linked() is None
    places.current.parent.mkdir(parents=True)
    places.link(7)
    places.link(8)
    assert places.linked() == 8
    assert places.current.readlink() == Path("releases/8")
