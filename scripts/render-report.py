#!/usr/bin/env python3
"""Draw labelled values as a bar chart (PNG) and put it with a table into one self-contained HTML page.

stdin: the payload. Environment: REPORT_FONT, a TrueType file, relative to the deployment folder. Without it
the chart is drawn in Pillow's built-in font, or in a common font of the system where the text is not ASCII.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
import traceback
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

MALFORMED, INTERNAL = 2, 3
HOME = Path(__file__).resolve().parent.parent
MAX_BARS = 200
MAX_VALUE = 1e15
# Below this the axis would be made of rounding errors; the bars are drawn as nothing, their numbers stay.
SMALLEST_SPAN = 1e-12

# Characters that would mislead a reader or break a line: controls, line ends, bidi marks, lone surrogates.
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
SYSTEM_FONTS = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
)

# Lengths below are in CSS pixels; the chart has SCALE times as many, for sharp text on dense screens.
SCALE = 2
WIDTH = 960
MARGIN = 28
LABEL_SHARE = 0.34
INK, MUTED, GRID, PAPER = "#1f2933", "#66727f", "#e3e8ed", "#ffffff"
POSITIVE, NEGATIVE = "#2f6fde", "#d9573f"

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1f2933; background: #f5f7f9; margin: 0; }}
main {{ max-width: 960px; margin: 2rem auto; padding: 1.5rem; background: #fff; border-radius: 12px; }}
h1 {{ margin: 0; font-size: 1.6rem; overflow-wrap: anywhere; }}
p {{ color: #66727f; margin: .25rem 0; overflow-wrap: anywhere; }}
img {{ width: 100%; height: auto; margin: 1rem 0; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: start; padding: .35rem .5rem; border-bottom: 1px solid #e3e8ed; }}
td {{ overflow-wrap: anywhere; }}
td:last-child, th:last-child {{ text-align: end; font-variant-numeric: tabular-nums; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{notes}
<img src="data:image/png;base64,{png}" alt="{alt}" width="{width}" height="{height}">
<table>
<thead><tr><th scope="col">Label</th><th scope="col">{value_heading}</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
<p>{total}</p>
</main>
</body>
</html>
"""


class Stop(Exception):
    """The end of this run, with the exit code that says whose fault it is."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Report:
    """A checked payload. `bars` are in the order in which they are drawn."""

    title: str
    subtitle: str
    unit: str
    source: str
    generated_at: str
    bars: tuple[tuple[str, float], ...]


def main() -> None:
    report = read_report()
    values = [value for _, value in report.bars]
    say(f"{len(report.bars)} bars from {text_of(min(values))} to {text_of(max(values))}")
    if os.environ.get("DRY_RUN") == "true":
        say("dry run: would draw the chart and write the page; nothing is written")
        return
    sheet = draw(report)
    png = sheet.png()
    page = compose(report, png, sheet.height)
    draft = Path("public.partial")
    draft.mkdir()
    (draft / "chart.png").write_bytes(png)
    (draft / "report.html").write_text(page, encoding="utf-8")
    draft.rename("artifacts/public")
    say(f"wrote public/chart.png ({len(png)} bytes) and public/report.html ({len(page.encode())} bytes)")


def read_report() -> Report:
    try:
        payload = json.load(sys.stdin.buffer)
    except (ValueError, RecursionError) as error:
        raise Stop(MALFORMED, f"the payload is not JSON: {error}") from None
    if not isinstance(payload, dict) or not isinstance(payload.get("series"), list):
        raise Stop(MALFORMED, "the payload has to be an object with an array at /series")
    if not 1 <= len(payload["series"]) <= MAX_BARS:
        raise Stop(MALFORMED, f"/series has to have 1 to {MAX_BARS} entries")
    bars = [read_bar(entry, f"/series/{at}") for at, entry in enumerate(payload["series"])]
    order = payload.get("order", "given")
    if order != "given":
        bars.sort(key=lambda bar: bar[1], reverse=order == "descending")
    return Report(
        title=line(payload, "title"),
        subtitle=line(payload, "subtitle"),
        unit=line(payload, "unit"),
        source=line(payload, "source"),
        generated_at=line(payload, "generatedAt")
        or datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        bars=tuple(bars),
    )


def read_bar(entry: Any, pointer: str) -> tuple[str, float]:
    value = entry.get("value") if isinstance(entry, dict) else None
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= MAX_VALUE:
        raise Stop(MALFORMED, f"{pointer}/value has to be a number from -1e15 to 1e15")
    return line(entry, "label"), value


def line(payload: dict[str, Any], key: str) -> str:
    """One line of text without control characters; "" when absent."""
    value = payload.get(key, "")
    if not isinstance(value, str):
        raise Stop(MALFORMED, f"{key} has to be a string")
    return " ".join(UNSAFE.sub(" ", value).split())


def text_of(value: float) -> str:
    """A number as a chart wants it: thousands apart, few decimals. The table has it exactly."""
    if value == int(value):
        return f"{int(value):,}"
    decimals = max(0, min(6, 3 - math.floor(math.log10(abs(value))))) if abs(value) < 1000 else 1
    text = f"{value:,.{decimals}f}".rstrip("0").rstrip(".")
    return f"{value:.3g}" if text in ("0", "-0") else text


def axis_text(value: float) -> str:
    """A tick's number, short enough for several in a row."""
    for unit, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if abs(value) >= unit:
            return f"{text_of(value / unit)} {suffix}"
    return text_of(value)


def ticks(low: float, high: float) -> list[float]:
    """Four to nine round numbers (1, 2 or 5 times a power of ten) that span `low` to `high` and hold 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low < SMALLEST_SPAN:
        high = 1.0
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if rough <= factor * power * 1.0000001)
    return [step * at for at in range(math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9) + 1)]


class Sheet:
    """What is drawn on. Every length is in CSS pixels."""

    def __init__(self, height: int, font_file: Path | None) -> None:
        from PIL import Image, ImageDraw

        self.height = height
        self.font_file = font_file
        self.image = Image.new("RGB", (WIDTH * SCALE, height * SCALE), PAPER)
        self.pen = ImageDraw.Draw(self.image)
        self.fonts: dict[int, Any] = {}

    def font(self, size: int) -> Any:
        from PIL import ImageFont

        if size not in self.fonts:
            if self.font_file is None:
                self.fonts[size] = ImageFont.load_default(size * SCALE)
            else:
                try:
                    self.fonts[size] = ImageFont.truetype(self.font_file, size * SCALE)
                except OSError as error:
                    raise Stop(INTERNAL, f"the font {self.font_file} cannot be used: {error}") from None
        return self.fonts[size]

    def text(self, x: float, y: float, content: str, size: int, colour: str, anchor: str) -> None:
        """`anchor` as in Pillow: l m r for left middle right, then a m for top or middle."""
        place = (x * SCALE, y * SCALE)
        # The stroke in the colour of the paper keeps a number readable on a grid line.
        self.pen.text(place, content, colour, self.font(size), anchor, stroke_width=2 * SCALE, stroke_fill=PAPER)

    def width(self, content: str, size: int) -> float:
        return self.font(size).getlength(content) / SCALE

    def fitted(self, content: str, size: int, width: float) -> str:
        """`content`, cut to at most `width` with an ellipsis."""
        if self.width(content, size) <= width:
            return content
        shortest, longest = 0, len(content)
        while shortest < longest:
            middle = (shortest + longest + 1) // 2
            if self.width(content[:middle].rstrip() + "…", size) <= width:
                shortest = middle
            else:
                longest = middle - 1
        return content[:shortest].rstrip() + "…"

    def upright(self, x: float, top: float, bottom: float, colour: str) -> None:
        at = round(x * SCALE)
        self.pen.line((at, round(top * SCALE), at, round(bottom * SCALE)), fill=colour, width=SCALE)

    def bar(self, zero: float, end: float, middle: float, thickness: float) -> None:
        """A bar from `zero` to `end`, round at its end; nothing when it would be thinner than a hair."""
        left, right = sorted((round(zero * SCALE), round(end * SCALE)))
        if right == left:
            return
        up, down = round((middle - thickness / 2) * SCALE), round((middle + thickness / 2) * SCALE)
        goes_right = end > zero
        self.pen.rounded_rectangle(
            (left, up, right, down),
            radius=min(4 * SCALE, (right - left) // 2),
            fill=POSITIVE if goes_right else NEGATIVE,
            corners=(not goes_right, goes_right, goes_right, not goes_right),
        )

    def lacks(self, content: str) -> list[str]:
        """The characters for which the font would draw its box."""
        font = self.font(15)
        box = bytes(font.getmask("\U0010ffff"))
        return sorted(c for c in set(content) if c != " " and bytes(font.getmask(c)) == box)

    def png(self) -> bytes:
        stream = BytesIO()
        self.image.save(stream, "PNG", optimize=True)
        return stream.getvalue()


def draw(report: Report) -> Sheet:
    """The chart: heading, grid, and for each bar its label, itself and its number."""
    subtitle = " · ".join(part for part in (report.subtitle, report.unit) if part)
    words = "".join((report.title, subtitle, *(label for label, _ in report.bars)))
    row = 34 if len(report.bars) <= 40 else 22
    top = MARGIN + 34 + (24 if subtitle else 0) + 12
    sheet = Sheet(top + row * len(report.bars) + 34 + MARGIN, font_file(words))
    sheet.text(MARGIN, MARGIN, sheet.fitted(report.title, 24, WIDTH - 2 * MARGIN), 24, INK, "la")
    sheet.text(MARGIN, MARGIN + 34, sheet.fitted(subtitle, 15, WIDTH - 2 * MARGIN), 15, MUTED, "la")
    draw_bars(sheet, report.bars, top, row)
    missing = sheet.lacks(words)
    if missing:
        say(f"the font lacks {len(missing)} characters, {missing[0]!a} for one; set REPORT_FONT")
    return sheet


def draw_bars(sheet: Sheet, bars: tuple[tuple[str, float], ...], top: int, row: int) -> None:
    size = 15 if row > 30 else 13
    values = [value for _, value in bars]
    labels = [sheet.fitted(label, size, WIDTH * LABEL_SHARE) for label, _ in bars]
    left = MARGIN + max(sheet.width(label, size) for label in labels) + 14
    # Room for the numbers beside the longest bars, on each side only where bars go there.
    room = max(sheet.width(text_of(value), 12) for value in values) + 10
    low_x = left + (room if min(values) < 0 else 0)
    high_x = WIDTH - MARGIN - (room if max(values) > 0 else 8)
    marks = ticks(min(values), max(values))

    def x_of(value: float) -> float:
        return low_x + (value - marks[0]) / (marks[-1] - marks[0]) * (high_x - low_x)

    bottom = top + row * len(bars)
    for mark in marks:
        sheet.upright(x_of(mark), top, bottom, MUTED if mark == 0 else GRID)
        sheet.text(x_of(mark), bottom + 8, axis_text(mark), 12, MUTED, "ma")
    for at, (label, value) in enumerate(zip(labels, values, strict=True)):
        middle = top + row * (at + 0.5)
        sheet.text(left - 14, middle, label, size, INK, "rm")
        sheet.bar(x_of(0), x_of(value), middle, row * 0.66)
        beside, anchor = (-6, "rm") if value < 0 else (6, "lm")
        sheet.text(x_of(value) + beside, middle, text_of(value), 12, INK, anchor)


def font_file(words: str) -> Path | None:
    """The font for `words`; None is the one built into Pillow, which has the letters of ASCII only."""
    chosen = os.environ.get("REPORT_FONT")
    if chosen:
        return HOME / chosen
    if words.isascii():
        return None
    return next((path for path in map(Path, SYSTEM_FONTS) if path.is_file()), None)


def compose(report: Report, png: bytes, height: int) -> str:
    """The page. Every text of the payload goes through `escape`; the policy in it allows no script anyway."""
    notes = [report.subtitle, f"Generated at {report.generated_at}"]
    paragraphs = [f"<p>{escape(note)}</p>" for note in notes if note]
    if report.source.startswith(("https://", "http://")):
        link = escape(report.source)
        paragraphs.append(f'<p>Source: <a href="{link}" rel="noreferrer noopener">{link}</a></p>')
    rows = [f"<tr><td>{escape(label)}</td><td>{value:,}</td></tr>" for label, value in report.bars]
    total = math.fsum(value for _, value in report.bars)
    return PAGE.format(
        title=escape(report.title or "Report"),
        notes="\n".join(paragraphs),
        png=b64encode(png).decode(),
        alt=escape(f"Bar chart: {report.title or 'Report'}"),
        width=WIDTH,
        height=height,
        value_heading=escape(f"Value ({report.unit})" if report.unit else "Value"),
        rows="\n".join(rows),
        total=escape(f"{len(report.bars)} values, sum {text_of(total)} {report.unit}".rstrip()),
    )


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    try:
        main()
    except Stop as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.code)
    except Exception:  # noqa: BLE001 - Python's own exit code for a traceback is 1, which would blame the task
        traceback.print_exc()
        sys.exit(INTERNAL)
