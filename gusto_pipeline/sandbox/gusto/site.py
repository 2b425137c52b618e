"""The Gusto sandbox as one ASGI app."""

from starlette.applications import Starlette
from starlette.routing import Mount

from gusto_pipeline.sandbox.faults import Faults
from gusto_pipeline.sandbox.gusto import events, payrolls, reads, writes
from gusto_pipeline.sandbox.gusto.api import GustoApi
from gusto_pipeline.sandbox.gusto.consent import oauth_routes
from gusto_pipeline.sandbox.gusto.oauth import Authority
from gusto_pipeline.sandbox.gusto.world import World


def gusto_site(world: World, authority: Authority, faults: Faults, *, rate_limit: int) -> Starlette:
    """OAuth and /v1 over one world. `faults` are those the API stages itself: expired and missing-scope."""
    webhooks = events.Webhooks(world)
    routes = [*reads.routes.all, *payrolls.routes.all, *writes.routes.all, *events.routes.all, *webhooks.routes().all]
    api = GustoApi(world, authority, routes, faults, rate_limit, webhooks.tell)
    return Starlette(routes=[*oauth_routes(world, authority), Mount("/", api)])
