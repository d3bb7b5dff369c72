"""How much a reviewer's browser has to fetch. The figures are printed (`pytest -s`)."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Response

from tests.journeys.desk import Desk, send
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FIRST_VISIT_BYTES, FIRST_VISIT_REQUESTS, SWAP_BYTES = 150_000, 12, 15_000


def test_weight_of_the_review_page(open_browser: Callable[..., Page], live_world: World) -> None:
    """Twenty labels, a message of 1,600 characters. Files are counted as the product serves them, compressed; pages as they
    are, because answers with secrets in them are not compressed."""
    labels = [f"A label of usual length {number}" for number in range(20)]
    chances = dict.fromkeys(labels, 0.05)
    project = live_world.make_project("dispute-reasons", label_schema={"labels": labels})
    message = {"subject": "Two charges on my statement", "text": "Hello, there are two charges. " * 53}
    row = {
        "input": message,
        "prediction": {"label": labels[3]},
        "probabilities": chances,
        "model_version": "2.1",
    }
    send(live_world, project, *({"id": f"dsp-{n}", **row} for n in range(5)))
    page = open_browser("rita")
    answers: list[Response] = []

    def note(response: Response) -> None:
        answers.append(response)

    page.on("response", note)
    desk = Desk(page, project).open()
    desk.has_next()
    page.wait_for_load_state("networkidle")
    first = [(response.url, _weight(response)) for response in answers]
    answers.clear()
    desk.press("Enter")
    desk.says("dsp-0 confirmed")
    page.wait_for_load_state("networkidle")
    swap = [(response.url, _weight(response)) for response in answers]
    for url, weight in [*first, *swap]:
        print(f"{weight:>8,}  {url.split('/', 3)[3]}")
    total, swapped = sum(weight for _url, weight in first), sum(weight for _url, weight in swap)
    print(
        f"review page: first visit {total:,} bytes in {len(first)} requests; a swap {swapped:,} bytes in {len(swap)}"
    )
    assert total <= FIRST_VISIT_BYTES
    assert len(first) <= FIRST_VISIT_REQUESTS
    assert swapped <= SWAP_BYTES
    assert len(swap) == 1


def _weight(response: Response) -> int:
    body = response.body()
    return len(gzip.compress(body)) if "/static/" in response.url else len(body)
