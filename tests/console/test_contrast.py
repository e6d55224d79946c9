"""Contrast of every pair of colours in use, in both themes: a new pair is added here first."""

import pytest
from playwright.sync_api import Browser

from tests.console.browser import THEMES, Theme, watched
from tests.console.stand import Stand

TEXT, SIGN = 4.5, 3.0
GROUNDS, STATES = ("surface", "page", "sunken", "hover"), ("ok", "warn", "bad", "info")
INKS = ("ink", "ink-2", "ink-3", "accent", "accent-strong")
PAIRS = [
    *((ink, ground, TEXT) for ink in INKS for ground in GROUNDS),
    *((state, f"{state}-soft", TEXT) for state in STATES),
    *((state, ground, TEXT) for state in STATES for ground in ("surface", "page")),
    *(("ink", f"{name}-soft", TEXT) for name in (*STATES, "accent", "mute")),
    *(("ink-2", f"{name}-soft", TEXT) for name in (*STATES, "mute")),
    ("accent", "accent-soft", TEXT), ("ink-2", "accent-soft", TEXT),
    ("on-accent", "accent", TEXT), ("on-accent", "accent-strong", TEXT),
    ("page", "ink", TEXT), ("ink", "marker", TEXT),
    *(("on-mark", f"mark-{rank}", TEXT) for rank in range(4)),
    ("paper-ink", "paper", TEXT), ("paper-ink-2", "paper", TEXT),
    ("paper-ink", "paper-marker", TEXT),
    *(("control", ground, SIGN) for ground in ("surface", "page")),
    *(("focus", ground, SIGN) for ground in ("surface", "page", "sunken")),
]  # fmt: skip
READ = """tokens => { const canvas = document.createElement('canvas');
  const c = canvas.getContext('2d', {willReadFrequently: true}); const out = {};
  for (const t of tokens) { const e = document.createElement('i');
    e.style.color = `var(--${t})`; document.body.append(e);
    c.fillStyle = getComputedStyle(e).color; c.fillRect(0, 0, 1, 1);
    out[t] = [...c.getImageData(0, 0, 1, 1).data].slice(0, 3); e.remove(); } return out; }"""


def luminance(rgb: list[int]) -> float:
    """Return the relative luminance (WCAG 2.2)."""
    parts = (v / 255 for v in rgb)
    r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("theme", THEMES)
def test_every_pair_of_colours_can_be_read(
    stand: Stand, browser: Browser, theme: Theme
) -> None:
    with watched(browser, stand, color_scheme=theme) as seen:
        seen.open("/")
        tokens = sorted({token for pair in PAIRS for token in pair[:2]})
        rgb = seen.page.evaluate(READ, tokens)
    low = []
    for ink, ground, floor in PAIRS:
        bright, dark = sorted((luminance(rgb[ink]), luminance(rgb[ground])), reverse=True)
        if (bright + 0.05) / (dark + 0.05) < floor:
            low.append((ink, ground))
    assert low == []


def test_black_on_white_has_the_greatest_contrast() -> None:
    assert luminance([0, 0, 0]) == 0
    assert luminance([255, 255, 255]) == pytest.approx(1)
