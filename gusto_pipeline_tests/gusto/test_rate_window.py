"""The window of requests as its users share it: threads and processes that come at the same moment."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from gusto_pipeline.clock import utcnow
from gusto_pipeline.gusto.rate_window import RateWindow


def test_several_may_open_a_window_at_once_that_was_never_open_before(tmp_path):
    together = Barrier(6)

    def use(_: int) -> None:
        for attempt in range(60):
            together.wait(5)
            folder = tmp_path / str(attempt)
            window = RateWindow("grant", per_minute=9, reserve=0, folder=folder, clock=utcnow, sleep=pytest.fail)
            window.take()
            window.close()

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(use, range(6))) == [None] * 6
