"""The connectors. A new app is a module here that declares `APP`, and its name in this list."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the names alone, which settings check, come without HTTP and cryptography
    from gusto_pipeline.provisioning.app import App

SLUGS = (
    "15five",
    "asana",
    "box",
    "clickup",
    "docusign",
    "dropbox",
    "dynatrace",
    "github",
    "google_workspace",
    "hubspot",
    "lastpass",
    "microsoft_365",
    "okta",
    "planview_leankit",
    "salesforce",
    "sauce_labs",
    "slack",
    "trello",
    "zoho_books",
    "zoho_crm",
    "zoho_desk",
)
LEARNING = ("learnupon",)  # portals of learners, of which more is kept than who has access
EVERY = (*SLUGS, *LEARNING)


@cache
def app(slug: str) -> App:
    """The app of this slug. Raises ValueError for one there is no connector for."""
    if slug not in EVERY:
        raise ValueError(f"there is no app {slug!r}; there are {', '.join(EVERY)}")
    found: App = import_module(f"{__name__}.{slug.replace('15', 'fifteen')}").APP
    return found
