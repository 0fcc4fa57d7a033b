"""Charts as SVG: bars on their side, a group for each figure, a bar for each side of it. PURE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from msgspec import Struct

WIDTH, NAMES, VALUES = 760, 250, 110
BAR, GAP, GROUP_GAP, TOP = 16, 3, 12, 34
SHADES = ("#2b6cb0", "#b8c4d0", "#8a6fb0", "#5f9e7f", "#c08a4e")
INK, BAD, PAPER = "#1f2933", "#c53030", "#ffffff"
FONT = 'font-family="sans-serif" font-size="12"'


class Bar(Struct, frozen=True, kw_only=True):
    """One bar, its middle half as a line across its end, and its value in words."""

    side: str
    value: float
    words: str
    low: float | None = None
    high: float | None = None
    bad: bool = False


class Group(Struct, frozen=True):
    """Bars that are to be compared."""

    name: str
    bars: Sequence[Bar]


def svg(title: str, groups: Sequence[Group], mark: float | None = None) -> str:
    """The chart; `mark` is a value at which a line goes through all groups."""
    sides = list(dict.fromkeys(bar.side for group in groups for bar in group.bars))
    most = max((_end(bar) for group in groups for bar in group.bars), default=0) or 1
    most = max(most, mark or 0)
    width = WIDTH - NAMES - VALUES
    lines = list(_groups(groups, sides, width / most))
    height = TOP + sum(_height(group) + GROUP_GAP for group in groups) + 26
    if mark is not None:
        x = NAMES + mark * width / most
        lines.append(f'<path d="M{x:.1f} {TOP - 6}V{height - 26}" stroke="{INK}"/>')
    size = f'viewBox="0 0 {WIDTH} {height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {FONT} fill="{INK}">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>',
            _text(8, 18, title, 'font-weight="bold" font-size="13"'),
            *lines,
            *(_legend(sides, height - 10) if any(sides) else ()),
            "</svg>\n",
        ]
    )


def _end(bar: Bar) -> float:
    return max(bar.value, bar.high or 0)


def _height(group: Group) -> int:
    return len(group.bars) * (BAR + GAP)


def _groups(groups: Sequence[Group], sides: Sequence[str], scale: float) -> Iterator[str]:
    y = TOP
    for group in groups:
        middle = y + _height(group) / 2 + 3
        yield _text(NAMES - 8, middle, group.name, 'text-anchor="end"')
        for bar in group.bars:
            yield from _bar(bar, y, SHADES[sides.index(bar.side) % len(SHADES)], scale)
            y += BAR + GAP
        y += GROUP_GAP


def _bar(bar: Bar, y: int, shade: str, scale: float) -> Iterator[str]:
    width = max(bar.value * scale, 1)
    fill = BAD if bar.bad else shade
    yield f'<rect x="{NAMES}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{fill}"/>'
    end = _end(bar) * scale
    if bar.low is not None and bar.high is not None:
        middle, low, high = y + BAR / 2, NAMES + bar.low * scale, NAMES + bar.high * scale
        yield f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="{INK}" stroke-width="1.5"/>'
    yield _text(NAMES + max(end, width) + 6, y + BAR - 4, bar.words)


def _legend(sides: Sequence[str], y: float) -> Iterator[str]:
    x = float(NAMES)
    for number, side in enumerate(sides):
        shade = SHADES[number % len(SHADES)]
        yield f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{shade}"/>'
        yield _text(x + 15, y, side)
        x += 28 + 6.5 * len(side)


def _text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(words)}</text>'
