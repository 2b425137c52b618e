"""Dagster follows pipeline.yaml: what is added, changed or taken out there is so in Dagster, without a restart."""

import os
from collections.abc import Callable

import dagster as dg
import httpx

from gusto_pipeline import notify
from gusto_pipeline.automation.launch import WEBSERVER
from gusto_pipeline.automation.sensors import tell
from gusto_pipeline.config import ConfigError, Settings, load_settings
from gusto_pipeline.provisioning.apps import EVERY
from gusto_pipeline.sync import open_store

LOCATION = "gusto_pipeline.definitions"  # the code location's name, unless a workspace gives it another

# Dagster's GraphQL API, as its documented Python client sends it.
RELOAD = """
mutation ($name: String!) {
  reloadRepositoryLocation(repositoryLocationName: $name) {
    __typename
    ... on WorkspaceLocationEntry { locationOrLoadError { __typename ... on PythonError { message } } }
    ... on ReloadNotSupported { message }
    ... on RepositoryLocationNotFound { message }
    ... on UnauthorizedError { message }
    ... on PythonError { message }
  }
}
"""


class ReloadError(Exception):
    """Dagster did not load the definitions anew; says why and what to do."""


def follow_pipeline_yaml(loaded: Settings, build: Callable[[Settings], dg.Definitions]) -> dg.SensorDefinition:
    """A sensor that has Dagster load the definitions anew once pipeline.yaml says other than `loaded`.

    The same when an app is connected or disconnected, whose assets come and go. A file that is wrong changes nothing;
    people are told of it once. `build` makes the definitions of settings.
    """
    connected = _connected(loaded)

    @dg.sensor(
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has Dagster load the jobs anew when pipeline.yaml changes, and says so when the file is wrong.",
    )
    def pipeline_yaml(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        try:
            settings = load_settings()
            if settings == loaded and _connected(settings) == connected:
                return dg.SensorResult(skip_reason="Dagster has loaded what pipeline.yaml says.", cursor="")
            dg.Definitions.validate_loadable(build(settings))
        except (ConfigError, dg.DagsterInvalidDefinitionError) as problem:
            if context.cursor != str(problem):
                context.log.error(str(problem))
                if loaded.notify.on_failure:
                    tell(context.log, loaded.notify, notify.wrong_config(str(problem)), "failure")
            return dg.SensorResult(skip_reason=f"What was loaded before goes on: {problem}", cursor=str(problem))
        try:
            origin = context.code_location_origin
            reload_location(os.environ.get(WEBSERVER, ""), origin.location_name if origin else LOCATION)
        except ReloadError as problem:
            context.log.warning(str(problem))
            return dg.SensorResult(skip_reason=str(problem), cursor="")
        return dg.SensorResult(skip_reason="pipeline.yaml has changed: the definitions were loaded anew.", cursor="")

    return pipeline_yaml


def _connected(settings: Settings) -> set[str]:
    """What kinds of connections there are."""
    return {name.partition("/")[0] for name in open_store(settings).names()} & set(EVERY)


def reload_location(webserver: str, name: str) -> None:
    """Have Dagster's webserver at this address load the code location `name` anew. Raises ReloadError."""
    by_hand = "Press Reload at the code location in Dagster's UI (Deployment)"
    if not webserver:
        raise ReloadError(
            f"pipeline.yaml has changed. {by_hand}, or set {WEBSERVER} to the webserver's address where the code runs, "
            "for this to happen by itself"
        )
    try:
        asked = {"query": RELOAD, "variables": {"name": name}}
        answer = httpx.post(f"{webserver.rstrip('/')}/graphql", json=asked, timeout=50)
        found = answer.raise_for_status().json()["data"]["reloadRepositoryLocation"]
        kind = found["__typename"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise ReloadError(
            f"pipeline.yaml has changed, but the webserver at {webserver} ({WEBSERVER}) did not load it "
            f"({type(error).__name__}). It is asked again soon. {by_hand} for it to be now"
        ) from error
    location = found["locationOrLoadError"] if kind == "WorkspaceLocationEntry" else found
    if location["__typename"] != "RepositoryLocation":
        raise ReloadError(f"pipeline.yaml has changed, but Dagster did not load it: {location.get('message')}")
