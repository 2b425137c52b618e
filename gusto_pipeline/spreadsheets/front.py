"""Front sheets, which have no table: lines of cells that lead into the workbook.

"Read me" is the one of a category: what the workbook is, how fresh, what changed, what was left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from xml.sax.saxutils import quoteattr
from zoneinfo import ZoneInfo

from gusto_pipeline.spreadsheets.cells import STYLE, cell_reference, letters, xml_text
from gusto_pipeline.spreadsheets.changes import CHANGES, Counts
from gusto_pipeline.spreadsheets.package import MAIN, OFFICE, XML
from gusto_pipeline.spreadsheets.xlsx import Part

READ_ME = "Read me"
_WIDTHS = (34, 22, 14, 14, 14)


@dataclass(frozen=True)
class About:
    """What the sheet says besides what the other sheets tell of themselves."""

    company: str
    title: str
    comment: str
    timezone: str
    synced_at: datetime | None  # the sync that brought the present data
    previous: datetime | None  # the sync that brought the data before these
    counts: Mapping[str, Counts] | None  # by sheet; None for the first version
    warnings: Sequence[str]
    guarded: Sequence[str]


@dataclass(frozen=True)
class Cell:
    """One cell: text or a number, a style of `cells.STYLE`, and the sheet whose row `row` it leads to."""

    content: str | int
    style: str = "text"
    leads_to: str = ""
    row: int = 1


def front_sheet(about: About, parts: Sequence[Part], warnings: Sequence[str]) -> str:
    """The worksheet's XML."""
    return worksheet(list(_lines(about, parts, (*warnings, *about.warnings))), _WIDTHS)


def worksheet(lines: Sequence[Sequence[Cell]], widths: Sequence[int]) -> str:
    """The XML of a sheet of these lines, the first in its workbook. `widths`: of the columns, in characters."""
    rows = "".join(
        f'<row r="{number}">{"".join(_xml(cell, column, number) for column, cell in enumerate(line))}</row>'
        for number, line in enumerate(lines, 1)
    )
    links = "".join(
        f'<hyperlink ref="{letters(column)}{number}" location={quoteattr(cell_reference(cell.leads_to, cell.row))}/>'
        for number, line in enumerate(lines, 1)
        for column, cell in enumerate(line)
        if cell.leads_to
    )
    columns = "".join(
        f'<col min="{i}" max="{i}" width="{width}" customWidth="1"/>' for i, width in enumerate(widths, 1)
    )
    return (
        f'{XML}<worksheet xmlns="{MAIN}" xmlns:r="{OFFICE}">'
        '<sheetPr><pageSetUpPr fitToPage="1"/></sheetPr>'
        f'<dimension ref="A1:{letters(len(widths) - 1)}{len(lines)}"/>'
        '<sheetViews><sheetView showGridLines="0" tabSelected="1" workbookViewId="0"/></sheetViews>'
        f'<sheetFormatPr defaultRowHeight="15"/><cols>{columns}</cols><sheetData>{rows}</sheetData>'
        f"<hyperlinks>{links}</hyperlinks>"
        '<pageMargins left="0.7" right="0.7" top="0.75" bottom="0.75" header="0.3" footer="0.3"/>'
        '<pageSetup orientation="landscape" fitToHeight="0"/></worksheet>'
    )


def _lines(about: About, parts: Sequence[Part], warnings: Sequence[str]) -> Iterator[list[Cell]]:
    yield [Cell(f"{about.company}: {about.title}", "title")]
    yield [Cell(about.comment)]
    yield []
    synced = _instant(about.synced_at, about.timezone) if about.synced_at else "no sync has ended well yet"
    yield [Cell("Data last changed", "header"), Cell(synced)]
    if about.counts is None:
        yield [Cell("Changes", "header"), Cell("none: this is the first version")]
    else:
        leads_to = next((part.name for part in parts if part.sheet == CHANGES), "")
        before = f" since the version of {_instant(about.previous, about.timezone)}" if about.previous else ""
        yield [
            Cell("Changes", "header"),
            Cell(f"{_total(about.counts)}{before}", "link" if leads_to else "text", leads_to),
        ]
    yield []
    heads = (
        ("Sheet", "Rows") if about.counts is None else ("Sheet", "Rows", "Rows added", "Rows removed", "Cells changed")
    )
    yield [Cell(head, "header") for head in heads]
    told = set()
    for part in parts:
        line = [Cell(part.name, "link", part.name), Cell(part.rows, "count")]
        counts = (about.counts or {}).get(part.sheet)
        if counts and part.sheet not in told:
            line += [Cell(number, "count") for number in (counts.added, counts.removed, counts.cells)]
        told.add(part.sheet)
        yield line
    for title, notes in (("Warnings", warnings), ("Columns left out or made unreadable", about.guarded)):
        if notes:
            yield []
            yield [Cell(title, "header")]
            yield from ([Cell(note)] for note in notes)


def _total(counts: Mapping[str, Counts]) -> str:
    added, removed, cells = (sum(numbers) for numbers in zip(*(astuple(c) for c in counts.values()), strict=True))
    return f"rows added: {added:,}; rows removed: {removed:,}; cells changed: {cells:,}"


def _instant(instant: datetime, timezone: str) -> str:
    return f"{instant.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M:%S} ({timezone})"


def _xml(cell: Cell, column: int, row: int) -> str:
    start = f'<c r="{letters(column)}{row}" s="{STYLE[cell.style]}"'
    if isinstance(cell.content, int):
        return f"{start}><v>{cell.content}</v></c>"
    return f'{start} t="inlineStr"><is><t xml:space="preserve">{xml_text(cell.content)}</t></is></c>'
