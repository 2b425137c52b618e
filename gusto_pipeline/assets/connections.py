"""Group `connections`: whether Gusto and Google still let us in, since when not and why, at the start of the lineage.

They are not made by runs. A sensor reports how they stand whenever that changes, without asking anybody; the checks,
run by hand, ask Gusto and Google.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import dagster as dg

from gusto_pipeline.assets.companies import OWNERS, companies
from gusto_pipeline.google_connection import GoogleStanding, google_standing
from gusto_pipeline.lifecycle import NEEDS_ATTENTION, Standing, standings
from gusto_pipeline.resources.pipeline import GustoResource, PipelineResource

GUSTO = dg.AssetKey(["connections", "gusto"])
GOOGLE = dg.AssetKey(["connections", "google"])
CHECK = "authorized"

connection_specs = [
    dg.AssetSpec(
        GUSTO,
        group_name="connections",
        kinds={"gusto"},
        owners=OWNERS,
        partitions_def=companies,
        description="The grants that companies gave at Gusto: authorized, needs attention or disconnected, since when "
        "and why. One that needs attention is healed by `gusto-pipeline reconnect`.",
    ),
    dg.AssetSpec(
        GOOGLE,
        group_name="connections",
        kinds={"googlesheets"},
        owners=OWNERS,
        description="The Google account that jobs of format google_sheets write with: authorized, needs attention or "
        "disconnected, since when and why. `gusto-pipeline reconnect google` heals it.",
    ),
]


@dg.asset_check(asset=GUSTO, name=CHECK, description="Every connected company's grant works. Asks Gusto, once each.")
def gusto_authorized(gusto: GustoResource, pipeline: PipelineResource) -> dg.AssetCheckResult:
    found = standings(pipeline.settings(), pipeline.store(), app=gusto.app())
    return dg.AssetCheckResult(**checked(GUSTO, by_company(found)))


@dg.asset_check(asset=GOOGLE, name=CHECK, description="Google still accepts the account that was connected. Asks it.")
def google_authorized(pipeline: PipelineResource) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(**checked(GOOGLE, by_company([google_standing(pipeline.settings(), check=True)])))


Stands = dict[str, Standing | GoogleStanding]


def by_company(found: Iterable[Standing | GoogleStanding | None]) -> Stands:
    """Standings by whose they are: a company's slug, or Google's account."""
    return {one.company.slug if isinstance(one, Standing) else one.account: one for one in found if one}


def checked(asset: dg.AssetKey, stands: Stands) -> dict[str, Any]:
    """What a check of a connection says, as the arguments of its result: passed unless one needs attention."""
    bad = {name: one for name, one in stands.items() if one.state == NEEDS_ATTENTION}
    texts = [f"{name} needs attention since {_minute(one.since)}: {one.why}" for name, one in bad.items()]
    return {
        "asset_key": asset,
        "check_name": CHECK,
        "passed": not bad,
        "severity": dg.AssetCheckSeverity.ERROR,
        "description": "; ".join(texts) or ("All is well." if stands else "Nothing is connected."),
        "metadata": {name: one.state for name, one in stands.items()},
    }


def shown(one: Standing | GoogleStanding) -> dict[str, Any]:
    """How a connection stands, as metadata."""
    metadata: dict[str, Any] = {"state": one.state, "why": one.why or "all is well"}
    if one.since:
        metadata["since"] = dg.MetadataValue.timestamp(one.since)
    if isinstance(one, Standing) and one.last_good_sync:
        metadata["last_good_sync"] = dg.MetadataValue.timestamp(one.last_good_sync)
    return metadata


def _minute(when: datetime | None) -> str:
    return f"{when:%Y-%m-%d %H:%M %Z}" if when else "an unknown time"
