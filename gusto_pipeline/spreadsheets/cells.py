"""SQL that renders values as the XML of Excel cells (ECMA-376, SpreadsheetML).

Text is an inline string (`t="inlineStr"`), which Excel never evaluates, so nothing can run as a formula. What Excel
cannot hold exactly (dates before March 1900, more than 15 digits) becomes text too.
"""

import re
from xml.sax.saxutils import escape

from gusto_pipeline.spreadsheets.sheets import category

MAX_TEXT = 32_767  # UTF-16 units in a cell
KEPT_TEXT = 32_700  # of a longer text; leaves room for the mark

# Cell styles by their position in the workbook's list of formats.
STYLE = {"text": 2, "id": 3, "integer": 4, "money": 5, "date": 6, "timestamp": 7}
STYLE |= {"header": 1, "link": 8, "title": 9, "count": 10, "linked id": 11, "linked count": 12}

# What XML cannot hold is shown by its picture (U+2400 to U+241F). A bare carriage return would be read as a line
# feed, and text that looks like Excel's own escape (ST_Xstring, "_x000D_") would be decoded.
CONTROLS = [n for n in range(32) if n not in (9, 10, 13)]
PICTURES = str.maketrans({n: 0x2400 + n for n in CONTROLS} | {0xFFFE: 0xFFFD, 0xFFFF: 0xFFFD})
ESCAPE_LIKE = "_(x[0-9A-Fa-f]{4})"
RARE = rf"[\x00-\x08\x0b-\x1f\x{{FFFE}}\x{{FFFF}}]|{ESCAPE_LIKE}"
SQL_CONTROLS = "concat(" + ", ".join(f"chr({n})" for n in (*CONTROLS, 0xFFFE, 0xFFFF)) + ")"
SQL_PICTURES = "'" + "".join(chr(0x2400 + n) for n in CONTROLS) + "\ufffd\ufffd'"


def cell(index: int, type_: str, kind: str) -> str:
    """SQL for the XML of the cell of value c0, c1, …, NULL for no cell. r is the row's number, as text."""
    value, group = f"c{index}", category(type_)
    start = f"""'<c r="{letters(index)}', r, '" s="'"""
    text_style = STYLE["link" if kind == "linked" else kind if kind in ("id", "linked id") else "text"]
    number_style = STYLE[kind] if kind in ("money", "linked count") else STYLE.get(group, 0)

    def text(content: str) -> str:
        opening = f"""'{text_style}" t="inlineStr"><is><t xml:space="preserve">'"""
        return f"concat({start}, {opening}, {content}, '</t></is></c>')"

    def number(content: str, attributes: str = f'{number_style}"') -> str:
        return f"concat({start}, '{attributes}><v>', {content}, '</v></c>')"

    match group:
        case "text":
            return f"CASE WHEN {value} IS NOT NULL THEN {text(_escaped(value))} END"
        case "boolean":
            truth = number(f"CAST({value} AS TINYINT)", '0" t="b"')
            return f"CASE WHEN {value} IS NOT NULL THEN {truth} END"
        case "float":
            return f"CASE WHEN isfinite({value}) THEN {number(value)} END"
        case "date":
            fits, content = _dated(value), f"{value} - DATE '1899-12-30'"
        case "timestamp":
            fits, content = _dated(value), f"epoch_us({value}) / 86400000000.0 + 25569"
        case _:
            fits, content = _exact(value, type_), value
    exact_text = text(f"CAST({value} AS VARCHAR)")
    return f"CASE WHEN {fits} THEN {number(content)} WHEN {value} IS NOT NULL THEN {exact_text} END"


def _dated(value: str) -> str:
    """SQL condition: Excel knows the date. It believes in 29 February 1900, so earlier days would be off by one."""
    return f"{value} >= DATE '1900-03-01' AND {value} < DATE '10000-01-01'"


def _exact(value: str, type_: str) -> str:
    """SQL condition: the number has at most 15 significant digits, so Excel keeps all of them."""
    if category(type_) == "integer":
        return f"{value} BETWEEN -999999999999999 AND 999999999999999"
    precision, scale = (int(digits) for digits in re.findall(r"\d+", type_))
    if precision <= 15:
        return f"{value} IS NOT NULL"
    digits = f"trim(replace(ltrim(CAST({value} AS VARCHAR), '-'), '.', ''), '0')"
    small = f"abs({value}) < {10 ** (15 - scale)} OR " if scale <= 15 else ""
    return f"({small}length({digits}) <= 15)"


def too_long(text: str) -> str:
    """SQL condition: the text has more UTF-16 units than a cell holds."""
    return f"(strlen({text}) > {MAX_TEXT} AND length({text}) + {_astral(text)} > {MAX_TEXT})"


def _astral(text: str) -> str:
    """SQL for the number of characters that take two UTF-16 units."""
    return f"length(regexp_replace({text}, '[^\\x{{10000}}-\\x{{10FFFF}}]', '', 'g'))"


def fitting(text: str) -> str:
    """SQL for the text, cut with a mark that says so if a cell cannot hold it."""
    start = f"left({text}, {KEPT_TEXT})"
    kept = f"left({text}, {KEPT_TEXT} - {_astral(start)})"
    mark = f"' …[cut: ' || (length({text}) - length({kept})) || ' characters, see CSV]'"
    return f"CASE WHEN {too_long(text)} THEN {kept} || {mark} ELSE {text} END"


def _escaped(text: str) -> str:
    # Looking first whether anything needs escaping, and anything rare, takes a third of the time.
    xml = f"replace(replace(replace({text}, '&', '&amp;'), '<', '&lt;'), '>', '&gt;')"
    rare = f"replace(regexp_replace({xml}, '{ESCAPE_LIKE}', '_x005F_\\1', 'g'), chr(13), '&#13;')"
    rare = f"translate({rare}, {SQL_CONTROLS}, {SQL_PICTURES})"
    rare_or_not = f"CASE WHEN regexp_matches({text}, '{RARE}') THEN {rare} ELSE {xml} END"
    return f"CASE WHEN regexp_matches({text}, '[&<>]|{RARE}') THEN {rare_or_not} ELSE {text} END"


def xml_text(text: str) -> str:
    """The same as `_escaped`, for the few texts that do not come from the database."""
    return re.sub(ESCAPE_LIKE, r"_x005F_\1", escape(text)).replace("\r", "&#13;").translate(PICTURES)


def letters(index: int) -> str:
    """Column letters: 0 is A, 25 is Z, 26 is AA."""
    name = ""
    while index >= 0:
        index, letter = divmod(index, 26)
        name, index = chr(65 + letter) + name, index - 1
    return name


def cell_reference(sheet: str, row: int) -> str:
    """Where the first cell of a row is, as a link's location says it."""
    quoted = sheet.replace("'", "''")
    return f"'{quoted}'!A{row}"
