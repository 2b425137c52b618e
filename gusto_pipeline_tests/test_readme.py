"""The README's table of categories is the catalog's."""

from pathlib import Path

from gusto_pipeline.gusto.catalog import CATEGORIES, Category

README = Path(__file__).resolve().parents[1] / "README.md"


def cost(category: Category) -> str:
    source = category.sources[0]
    if category.parents == ("employees",):
        return "N" if len(source.variants) == 1 else f"{len(source.variants)} N"
    if category.parents:
        return f"1 per row of `{category.parents[0]}`{' and 100 employees' if source.paged else ''}"
    return {"employees": "⌈N/100⌉", "contractors": "⌈C/100⌉"}.get(category.name, str(len(category.sources)))


def table() -> str:
    lines = ["| category | tables in `staging` | requests per company |", "|---|---|---|"]
    for category in CATEGORIES.values():
        names = ", ".join(f"`{table.name}`" for table in category.tables())
        lines.append(f"| {category.name} | {names} | {cost(category)} |")
    return "\n".join(lines)


def test_the_readme_lists_every_category_with_its_tables_and_requests():
    assert f"<!-- categories -->\n{table()}\n<!-- /categories -->" in README.read_text(encoding="utf-8")
