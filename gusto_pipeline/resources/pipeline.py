"""Dagster resources: they hand out the plain objects the domain packages offer, and hold no logic.

Secrets come as `EnvVar`, so Dagster's own records show the variable's name and never its value.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from gusto_pipeline.config import Settings, load_settings
from gusto_pipeline.connections.store import ConnectionStore
from gusto_pipeline.gusto.auth import GustoAuth, OAuthApp
from gusto_pipeline.gusto.client import RESERVE, GustoClient
from gusto_pipeline.sync import Company, find_company, open_store, open_warehouse
from gusto_pipeline.warehouse.warehouse import Warehouse


class PipelineResource(dg.ConfigurableResource):
    """Settings, connected companies and the warehouse, as pipeline.yaml and the environment have them now."""

    def settings(self) -> Settings:
        return load_settings()

    def warehouse(self) -> Warehouse:
        return open_warehouse(self.settings())

    def store(self) -> ConnectionStore:
        return open_store(self.settings())

    def company(self, slug: str) -> Company:
        return find_company(self.store(), slug)


class GustoResource(dg.ConfigurableResource):
    """Clients for Gusto, one per company's grant."""

    pipeline: dg.ResourceDependency[PipelineResource]
    client_id: str
    client_secret: str

    def app(self) -> OAuthApp:
        gusto = self.pipeline.settings().gusto
        return OAuthApp(gusto.base_url, self.client_id, self.client_secret, gusto.redirect_uri)

    @contextmanager
    def client(self, company: Company, reserve: int = RESERVE) -> Iterator[GustoClient]:
        """A client with the company's grant; what somebody waits for has no `reserve` to leave to others."""
        settings, app, name = self.pipeline.settings(), self.app(), f"gusto/{company.slug}"
        auth = GustoAuth(app, self.pipeline.store(), name)
        state = settings.connections
        with GustoClient(app.base_url, auth, grant=name, state_folder=state, reserve=reserve) as client:
            yield client
