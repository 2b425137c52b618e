"""The README's table of categories is the catalog's."""

from pathlib import Path

from gusto_pipeline.gusto.catalog import CATEGORIES, Category

README = Path(__file__).resolve().parents[1] / "README.md"


def cost(category: Category) -> str:
    if category.per_employee:
        return "N" if len(category.sources[0].variants) == 1 else f"{len(category.sources[0].variants)} N"
    return {"employees": "⌈N/100⌉", "contractors": "⌈C/100⌉"}.get(category.name, str(len(category.sources)))


def table() -> str:
    lines = ["| category | tables in `staging` | requests per company |", "|---|---|---|"]
    for category in CATEGORIES.values():
        names = ", ".join(f"`{table.name}`" for table in category.tables())
        lines.append(f"| {category.name} | {names} | {cost(category)} |")
    return "\n".join(lines)


def test_the_readme_lists_every_category_with_its_tables_and_requests():
    assert f"<!-- categories -->\n{table()}\n<!-- /categories -->" in README.read_text(encoding="utf-8")
