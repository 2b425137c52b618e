"""Reading a source of the catalog to disk: as few requests as the data allows, every answer kept as it came."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from gusto_pipeline.clock import Clock, utcnow
from gusto_pipeline.gusto.catalog import Source
from gusto_pipeline.gusto.client import Answer, GustoClient
from gusto_pipeline.gusto.errors import NotFoundError

_IN_FLIGHT = 8


class DroppedFileError(Exception):
    """A CSV dropped in place of an endpoint cannot be used; the message names file, line and column."""


@dataclass(frozen=True)
class Fetched:
    """One answer on disk, with a digest of its body, the id it was asked for if any (`Source.per`), and what the API
    said about it."""

    file: Path
    answer: Answer
    digest: str
    parent: str | None = None


def fetch(
    source: Source,
    company_uuid: str,
    client: GustoClient,
    folder: Path,
    parents: Sequence[str] = (),
    clock: Clock = utcnow,
) -> list[Fetched]:
    """Every answer of `source` for a company, written into `folder`: one request per variant and page, and that for
    each of `parents` if the source is asked `per` something.

    Raises the client's GustoErrors. A single parent's 404 fails the whole source: a partial read is no read.
    """
    params = source.params | _window(source, clock)

    def ask(number: int, parent: str | None, variant: dict[str, str]) -> list[Fetched]:
        path = source.path.format(company=company_uuid, **dict.fromkeys(source.table.links, parent))
        query = params | variant
        answers = client.pages(path, query) if source.paged else iter([client.get(path, query)])
        name = f"{source.name}-{number:06d}"
        return [_written(folder / f"{name}-{answer.page:06d}.json", answer, parent) for answer in answers]

    asked = [(parent, variant) for parent in (parents if source.per else (None,)) for variant in source.variants]
    with ThreadPoolExecutor(_IN_FLIGHT) as pool:
        found = pool.map(lambda numbered: ask(numbered[0], *numbered[1]), enumerate(asked, 1))
        return [page for pages in found for page in pages]


def _window(source: Source, clock: Clock) -> dict[str, str]:
    if source.days is None:
        return {}
    today = clock().date()
    return {"start_date": str(today - timedelta(days=source.days)), "end_date": str(today)}


def _written(file: Path, answer: Answer, parent: str | None) -> Fetched:
    body = answer.body or b"[]"
    file.write_bytes(body)
    return Fetched(file, answer, sha256(body).hexdigest(), parent)


def fetch_dropped(
    source: Source, company: str, company_uuid: str, drop_folder: Path, folder: Path, clock: Clock = utcnow
) -> list[Fetched] | None:
    """The records of `<drop_folder>/<company>.csv` and `<drop_folder>/<company>/*.csv`, in the source's own shape, for
    an endpoint that is gone; None where no such file lies there.

    Column names are the API's (`first_name`, `last_name`, `email`, `job_title` …), in any order; a row without `uuid`
    gets one made of its e-mail and name. Raises DroppedFileError.
    """
    files = [*drop_folder.glob(f"{company}.csv"), *sorted(drop_folder.glob(f"{company}/*.csv"))]
    if not files:
        return None
    records = [record for file in files for record in _records(source, company_uuid, file)]
    body = json.dumps(records).encode()
    answer = Answer(files[0].name, 1, body, len(records), len(records), 1, "", clock(), "csv")
    return [_written(folder / f"{source.name}-000001-000001.json", answer, None)]


def _records(source: Source, company_uuid: str, file: Path) -> Iterator[dict[str, str | None]]:
    known = [column.path for column in source.table.columns]
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            for name in reader.fieldnames or ():
                if name not in known:
                    near = get_close_matches(name, known, n=1)
                    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}."
                    raise DroppedFileError(f"{file}, line 1: unknown column {name!r}; {hint}")
            for row in reader:
                if None in row or None in row.values():
                    raise DroppedFileError(f"{file}, line {reader.line_num}: not as many values as columns.")
                if not (row.get("first_name") or row.get("last_name")):
                    raise DroppedFileError(f"{file}, line {reader.line_num}: first_name and last_name are both empty.")
                record = {name: value or None for name, value in row.items()}
                identity = [company_uuid, *(row.get(name) or "" for name in ("email", "first_name", "last_name"))]
                yield {"uuid": str(uuid5(NAMESPACE_URL, "/".join(identity))), **{k: v for k, v in record.items() if v}}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DroppedFileError(f"{file} cannot be read as CSV: {error}.") from None


def is_gone(error: Exception, source: Source) -> bool:
    """Whether a request failed because this company's API no longer has the endpoint."""
    return source.gone and isinstance(error, NotFoundError)
