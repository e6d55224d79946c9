"""Drawings made from data: the seal of a digest, and the plan of the login page.

The seal is a bastioned polygon. It helps the eye compare two receipts; it proves nothing, and
the pages that show it say so.
"""

import hashlib
import math
from collections.abc import Callable

from markupsafe import Markup

Point = Callable[[float, float], str]


def _around(centre: int, turn: float) -> Point:
    def at(angle: float, radius: float) -> str:
        x = centre + radius * math.cos(angle + turn)
        return f"{x:.1f} {centre + radius * math.sin(angle + turn):.1f}"

    return at


def seal(digest: str, size: str = "") -> Markup:
    """Draw the seal of a digest, in a class such as `seal-xl`."""
    raw = hashlib.sha256(digest.encode()).digest()
    count = (5, 7, 8, 9)[raw[0] % 4]
    step, at = 2 * math.pi / count, _around(24, -math.pi / 2)
    shoulder = step * (0.20 + raw[1] / 255 * 0.06)
    flank = step * (0.13 + raw[2] / 255 * 0.04)
    far, near = 15.8 + raw[3] / 255 * 1.4, 12.6 + raw[4] / 255
    outline: list[str] = []
    tips = inner = ""
    for index in range(count):
        angle = index * step
        left, tip, right = at(angle - shoulder, far), at(angle, 22.5), at(angle + shoulder, far)
        outline += [at(angle - flank, near), left, tip, right, at(angle + flank, near)]
        if raw[5] >> index & 1:
            tips += f"M{left}L{tip}L{right}Z"
        inner += ("L" if inner else "M") + at(angle + (step / 2 if raw[6] & 1 else 0), 5.4)
    core = "currentColor" if raw[6] & 2 else "none"
    return Markup(
        '<svg class="seal {size}" viewBox="0 0 48 48" fill="none" stroke="currentColor"'
        ' stroke-width="2" stroke-linejoin="round" aria-hidden="true"><path d="M{outline}Z"/>'
        '<path fill="currentColor" d="{tips}"/><path fill="{core}" d="{inner}Z"/></svg>'
    ).format(size=size, outline="L".join(outline), tips=tips, core=core, inner=inner)


def _wall(at: Point, scale: float) -> str:
    count, points = 6, list[str]()
    step, flank = 2 * math.pi / count, (0.135 if scale < 1.05 else 0.17)  # noqa: PLR2004
    for index in range(count):
        angle = index * step
        if scale > 1.3:  # noqa: PLR2004 - the glacis
            points += [at(angle, 320 * scale), at(angle + step / 2, 318 * scale)]
            continue
        points += [
            at(angle - step * flank, 222 * scale),
            at(angle - step * 0.215, 268 * scale),
            at(angle, 340 * scale),
            at(angle + step * 0.215, 268 * scale),
            at(angle + step * flank, 222 * scale),
        ]
    return "L".join(points)


def fort() -> Markup:
    """Draw the plan of an enceinte with its ravelins and glacis."""
    at, step = _around(500, -math.pi / 2 + 0.13), 2 * math.pi / 6
    lines = [
        f'<path d="M{_wall(at, scale)}Z" stroke-width="{width}"/>'
        for scale, width in ((1.0, 3.5), (0.945, 1.2), (1.10, 1.4), (1.34, 1.0))
    ]
    for index in range(6):
        mid, angle = (index + 0.5) * step, index * step
        ravelin = (at(mid - step * 0.17, 282), at(mid, 372), at(mid + step * 0.17, 282))
        ray = f"M{at(angle, 300)}L{at(angle, 130)}"
        lines += [
            f'<path d="M{"L".join(ravelin)}L{at(mid, 258)}Z" stroke-width="1.6"/>',
            f'<path d="{ray}" stroke-width="0.8" stroke-dasharray="2 7"/>',
        ]
    core = "L".join(at(index * step, 130) for index in range(6))
    return Markup(
        '<svg class="trace" viewBox="60 60 880 880" fill="none" stroke="currentColor"'
        ' stroke-linejoin="round" aria-hidden="true">{}</svg>'
    ).format(Markup("".join(lines) + f'<path d="M{core}Z" stroke-width="1.6"/>'))  # noqa: S704
