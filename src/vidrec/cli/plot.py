"""Bars with intervals as SVG: one picture needs no plotting library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

_LABEL, _WIDTH, _LINE, _VALUE = 140, 420, 20, 70
_COLOURS = ("#9aa0a6", "#5f6368", "#4e79a7", "#59a14f", "#edc948", "#e15759", "#b07aa1")


class Bar(NamedTuple):
    """One value, at least 0, with the ends of its interval."""

    name: str
    value: float
    low: float
    high: float


def bars(title: str, groups: Mapping[str, Sequence[Bar]]) -> str:
    """A picture of groups of horizontal bars, one below the other, all of one scale; bars of one name have one colour.
    The values are in it as text as well."""
    most = max((bar.high for group in groups.values() for bar in group), default=0.0) or 1.0
    colours: dict[str, str] = {}
    parts: list[str] = []
    y = 34
    for name, group in groups.items():
        parts.append(f'<text x="8" y="{y + 14}" font-weight="bold">{escape(name)}</text>')
        y += _LINE + 4
        for bar in group:
            colour = colours.setdefault(bar.name, _COLOURS[len(colours) % len(_COLOURS)])
            parts += _bar(bar, y, colour, _WIDTH / most)
            y += _LINE
        y += 10
    width = _LABEL + _WIDTH + _VALUE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" height="{y}" role="img" '
        f'font-family="sans-serif" font-size="13" fill="#202124"><title>{escape(title)}</title>'
        f'<rect width="100%" height="100%" fill="#fff"/><text x="8" y="20" font-size="15">{escape(title)}</text>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _bar(bar: Bar, y: int, colour: str, scale: float) -> list[str]:
    middle = y + _LINE / 2
    low, high = _LABEL + bar.low * scale, _LABEL + bar.high * scale
    return [
        f'<text x="{_LABEL - 8}" y="{middle + 4}" text-anchor="end">{escape(bar.name)}</text>',
        f'<rect x="{_LABEL}" y="{y + 3}" width="{bar.value * scale:.1f}" height="{_LINE - 6}" fill="{colour}"/>',
        f'<path d="M{low:.1f} {middle}H{high:.1f}M{low:.1f} {middle - 4}v8M{high:.1f} {middle - 4}v8" '
        'stroke="#202124" fill="none"/>',
        f'<text x="{high + 6:.1f}" y="{middle + 4}">{bar.value:.3f}</text>',
    ]
