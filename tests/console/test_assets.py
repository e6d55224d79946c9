import json
import re
from pathlib import Path

import pytest

from appliance.console.assets import (
    PACKAGE,
    ROOT,
    VENDOR,
    build,
    font_faces,
    icon_body,
    icon_names,
    icons_in,
)  # fmt: skip


def test_the_lock_names_versions_and_digests_and_no_address() -> None:
    lock = (ROOT / "package-lock.json").read_text()
    packages = {n: p for n, p in json.loads(lock)["packages"].items() if n}
    assert packages
    for package in packages.values():
        assert package["integrity"].startswith("sha512-")
        assert re.fullmatch(r"\d+\.\d+\.\d+", package["version"])
        assert not {"resolved", "funding"} & package.keys()
    assert "://" not in lock


@pytest.mark.usefixtures("assets")
def test_each_icon_that_is_named_was_built() -> None:
    built = json.loads((VENDOR / "icons.json").read_text())
    assert icon_names(PACKAGE) <= built.keys()
    assert all("<script" not in body and "href" not in body for body in built.values())


@pytest.mark.usefixtures("assets")
def test_building_again_gives_the_same_bytes(tmp_path: Path) -> None:
    modules = ROOT / "node_modules"
    assert modules.is_dir(), "the build left its packages"
    build(modules, tmp_path / "vendor")
    for file in (tmp_path / "vendor").iterdir():
        assert file.read_bytes() == (VENDOR / file.name).read_bytes(), file.name


@pytest.mark.usefixtures("assets")
def test_what_is_served_names_no_other_origin() -> None:
    for file in [*VENDOR.glob("*.css"), *(PACKAGE / "static").glob("*.css")]:
        assert "//" not in re.sub(r"/\*.*?\*/", "", file.read_text(), flags=re.DOTALL), (
            file.name
        )
    assert "sourceMappingURL" not in (VENDOR / "htmx.min.js").read_text()


def test_icons_are_found_in_templates_and_modules() -> None:
    assert icons_in("{{ icon('x') }} {{ icon('sun-moon', 'icon-sm') }}") == {"x", "sun-moon"}
    assert icons_in("""kind = "icon:files", 'icon:cpu'""") == {"files", "cpu"}


def test_an_icon_keeps_its_shapes_only() -> None:
    assert icon_body('<svg class="a">\n  <path d="M1 1"/>\n</svg>\n') == '<path d="M1 1"/>'


def test_a_style_sheet_that_changed_is_noticed() -> None:
    with pytest.raises(AssertionError, match="style sheet changed"):
        font_faces("/* other */\n@font-face {\n}")
