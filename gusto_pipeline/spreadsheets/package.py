"""The parts of an Excel workbook around its worksheets (ECMA-376, Open Packaging and SpreadsheetML)."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from xml.sax.saxutils import escape, quoteattr

from gusto_pipeline.spreadsheets.cells import letters, xml_text

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'

# Colours of text and ground; their differential formats follow that of greyed rows, in this order.
TINTS = {
    "bad": ("9C0006", "FFC7CE"),
    "doubtful": ("7F6000", "FFE699"),
    "waiting": ("1F4E79", "DDEBF7"),
    "good": ("375623", "E2EFDA"),
    "off": ("595959", "EDEDED"),
    "unknown": ("5B3F8C", "E4DFEC"),
}
STYLES = f"""{XML}<styleSheet xmlns="{MAIN}"><numFmts count="2">\
<numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/>\
<numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/></numFmts>\
<fonts count="6"><font><sz val="11"/><name val="Calibri"/><family val="2"/></font>\
<font><b/><sz val="11"/><name val="Calibri"/><family val="2"/></font>\
<font><sz val="11"/><color rgb="FF808080"/><name val="Calibri"/><family val="2"/></font>\
<font><u/><sz val="11"/><color rgb="FF0563C1"/><name val="Calibri"/><family val="2"/></font>\
<font><b/><sz val="16"/><name val="Calibri"/><family val="2"/></font>\
<font><u/><sz val="11"/><color rgb="FF808080"/><name val="Calibri"/><family val="2"/></font></fonts>\
<fills count="2"><fill><patternFill patternType="none"/></fill>\
<fill><patternFill patternType="gray125"/></fill></fills>\
<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>\
<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>\
<cellXfs count="13">{
    "".join(
        f'<xf numFmtId="{number}" fontId="{font}" fillId="0" borderId="0" applyNumberFormat="1" applyFont="1"/>'
        for number, font in (
            *((0, 0), (49, 1), (49, 0), (49, 2), (1, 0), (4, 0), (164, 0), (165, 0)),
            *((49, 3), (49, 4), (3, 0), (49, 5), (1, 3)),
        )
    )
}</cellXfs>\
<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>\
<dxfs count="{len(TINTS) + 1}"><dxf><font><color rgb="FF999999"/></font></dxf>{
    "".join(
        f'<dxf><font><color rgb="FF{text}"/></font>'
        f'<fill><patternFill><bgColor rgb="FF{ground}"/></patternFill></fill></dxf>'
        for text, ground in TINTS.values()
    )
}</dxfs></styleSheet>"""


def package_parts(
    areas: dict[str, str], notes: Sequence[Sequence[str]], created: datetime
) -> Iterator[tuple[str, str]]:
    """Every part but the worksheets: what the package holds, the workbook, its styles, the headers' notes.

    `areas` are the cells of each sheet that can be filtered, "" for a sheet without a filter.
    """
    numbers = range(1, len(areas) + 1)
    noted = [number for number in numbers if any(notes[number - 1])]
    office = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    types = {
        "/xl/workbook.xml": f"{office}.sheet.main+xml",
        "/xl/styles.xml": f"{office}.styles+xml",
        "/docProps/core.xml": "application/vnd.openxmlformats-package.core-properties+xml",
        **{f"/xl/worksheets/sheet{n}.xml": f"{office}.worksheet+xml" for n in numbers},
        **{f"/xl/comments{n}.xml": f"{office}.comments+xml" for n in noted},
    }
    yield (
        "[Content_Types].xml",
        f'{XML}<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        '<Default Extension="vml" ContentType="application/vnd.openxmlformats-officedocument.vmlDrawing"/>'
        + "".join(f'<Override PartName="{name}" ContentType="{type_}"/>' for name, type_ in types.items())
        + "</Types>",
    )
    core = f"{PACKAGE}/relationships/metadata/core-properties"
    yield "_rels/.rels", _links([(f"{OFFICE}/officeDocument", "xl/workbook.xml"), (core, "docProps/core.xml")])
    yield (
        "docProps/core.xml",
        f'{XML}<cp:coreProperties xmlns:cp="{PACKAGE}/metadata/core-properties" '
        'xmlns:dcterms="http://purl.org/dc/terms/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f'<dcterms:created xsi:type="dcterms:W3CDTF">{created.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}</dcterms:created>'
        "</cp:coreProperties>",
    )
    sheets = [(f"{OFFICE}/worksheet", f"worksheets/sheet{n}.xml") for n in numbers]
    yield "xl/_rels/workbook.xml.rels", _links([*sheets, (f"{OFFICE}/styles", "styles.xml")])
    listed = "".join(f'<sheet name={quoteattr(name)} sheetId="{n}" r:id="rId{n}"/>' for n, name in enumerate(areas, 1))
    filters = "".join(
        f'<definedName name="_xlnm._FilterDatabase" localSheetId="{n}" hidden="1">'
        + escape("'" + name.replace("'", "''") + "'!" + re.sub(r"([A-Z]+)(\d+)", r"$\1$\2", area))
        + "</definedName>"
        for n, (name, area) in enumerate(areas.items())
        if area
    )
    yield (
        "xl/workbook.xml",
        f'{XML}<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><bookViews><workbookView/></bookViews>'
        f"<sheets>{listed}</sheets><definedNames>{filters}</definedNames></workbook>",
    )
    yield "xl/styles.xml", STYLES
    for number in noted:
        yield from _note_parts(notes[number - 1], number)


def _note_parts(notes: Sequence[str], number: int) -> Iterator[tuple[str, str]]:
    """A sheet's notes take three parts: their text, their boxes (VML), and the sheet's links to both."""
    texts = "".join(
        f'<comment ref="{letters(i)}1" authorId="0"><text><t xml:space="preserve">{xml_text(note)}</t></text></comment>'
        for i, note in enumerate(notes)
        if note
    )
    yield (
        f"xl/comments{number}.xml",
        f'{XML}<comments xmlns="{MAIN}"><authors><author/></authors><commentList>{texts}</commentList></comments>',
    )
    boxes = "".join(
        f'<v:shape id="_x0000_s{i + 1:04}" type="#_x0000_t202" fillcolor="#ffffe1" o:insetmode="auto" '
        f'style="position:absolute;width:220pt;height:{15 * (2 + len(note) // 40)}pt;visibility:hidden">'
        '<v:textbox/><x:ClientData ObjectType="Note"><x:MoveWithCells/><x:SizeWithCells/><x:AutoFill>False</x:AutoFill>'
        f"<x:Row>0</x:Row><x:Column>{i}</x:Column></x:ClientData></v:shape>"
        for i, note in enumerate(notes)
        if note
    )
    yield (
        f"xl/drawings/vmlDrawing{number}.vml",
        '<xml xmlns:v="urn:schemas-microsoft-com:vml" xmlns:o="urn:schemas-microsoft-com:office:office" '
        'xmlns:x="urn:schemas-microsoft-com:office:excel"><v:shapetype id="_x0000_t202" coordsize="21600,21600" '
        f'o:spt="202" path="m,l,21600r21600,l21600,xe"/>{boxes}</xml>',
    )
    links = [
        (f"{OFFICE}/vmlDrawing", f"../drawings/vmlDrawing{number}.vml"),
        (f"{OFFICE}/comments", f"../comments{number}.xml"),
    ]
    yield f"xl/worksheets/_rels/sheet{number}.xml.rels", _links(links)


def _links(links: Sequence[tuple[str, str]]) -> str:
    items = "".join(
        f'<Relationship Id="rId{n}" Type="{type_}" Target="{target}"/>' for n, (type_, target) in enumerate(links, 1)
    )
    return f'{XML}<Relationships xmlns="{PACKAGE}/relationships">{items}</Relationships>'
