from pathlib import Path

import pytest

from appliance.front_settings import FrontSettings
from appliance.settings import SettingsError, load

FRONT = """
configuration = "/haproxy.cfg"
pages = "/pages"
certificates = "/certificates"
users = "192.0.2.1:443"
admin = "192.0.2.2:8443"
inside = "/run/inside"
console = "/run/console"
gateways = {one = "/run/one"}
"""


def test_a_front_has_gateways_and_measures_only_where_they_are_named(tmp_path: Path) -> None:
    (path := tmp_path / "front.toml").write_text(FRONT)
    assert load(path, FrontSettings).measures is None
    path.write_text(FRONT.replace("one =", "one_of = {} #"))
    with pytest.raises(SettingsError, match="gateways"):
        load(path, FrontSettings)
