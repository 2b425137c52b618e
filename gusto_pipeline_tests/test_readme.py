"""The README's tables are what the catalog and the connectors declare."""

from pathlib import Path

from gusto_pipeline.cli_accounts import capabilities, matrix
from gusto_pipeline.gusto.catalog import CATEGORIES, Category
from gusto_pipeline.provisioning.apps import SLUGS, app

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


def test_the_readme_says_what_can_be_done_in_which_app():
    table = matrix([capabilities(app(slug)) for slug in SLUGS])
    assert f"<!-- apps -->\n{table}\n<!-- /apps -->" in README.read_text(encoding="utf-8")


def test_the_command_says_more_of_each_app_than_the_table(command):
    said = " ".join(command("apps").out.split())
    for slug in SLUGS:
        one = capabilities(app(slug))
        rest = (f"{column}: {one[column]}" for column in ("invitations", "plan", "rate limit"))
        assert f"{one['app']}: {'; '.join((one['removing'].partition(': ')[2], *rest))}" in said
