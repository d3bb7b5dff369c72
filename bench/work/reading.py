"""What people and consumers read: the task page, the confirmation rates, the feed of outcomes."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from bench.filling import Filler
from bench.load import Samples, Step, run_load
from bench.place import Place
from bench.results import Result
from bench.wire import Wire, request

OFFERED = 25
PAGE = 1_000


def sign_in(place: Place) -> str:
    """The cookies of the administrator's session."""
    wire = Wire(place.port)
    page, cookies = _ask_with_cookies(wire, request("GET", "/account/sign-in/"))
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token is not None, page[:500]
    form = (
        f"csrfmiddlewaretoken={token[1]}&username={place.credentials.username}&password={place.credentials.password}"
    ).encode()
    headers = {
        "Cookie": cookies,
        "Content-Type": "application/x-www-form-urlencoded",
        "Referer": f"http://127.0.0.1:{place.port}/",
    }
    _, new = _ask_with_cookies(wire, request("POST", "/account/sign-in/", form, headers=headers))
    return "; ".join(filter(None, (cookies, new)))


def _ask_with_cookies(wire: Wire, asked: bytes) -> tuple[str, str]:
    status, body, head = wire.ask_with_head(asked)
    if status >= 400:
        raise RuntimeError(f"sign-in: {status} {body[:300]!r}")
    cookies = re.findall(rb"set-cookie: ([^;\r]+)", head, re.IGNORECASE)
    return body.decode(), "; ".join(cookie.decode() for cookie in cookies)


def get_page(port: int, path: str, headers: dict[str, str]) -> Step:
    """The same page again and again."""
    wire = Wire(port)
    asked = request("GET", path, headers=headers)
    return lambda _number: wire.ask(asked)[0] == 200


def measure_task_page(place: Place, slug: str, rows_before: int, *, quick: bool) -> list[Result]:
    """`queue_page`: the whole page at the offered rate beside a constant page, then the swap to the next task."""
    seconds = 2.0 if quick else 20.0
    headers = {"Cookie": sign_in(place)}
    path = f"/projects/{slug}/review/default/"
    floor = run_load(
        get_page, [place.floor_port, "/constant", {}], connections=4, seconds=seconds, rate=OFFERED
    )
    before = place.spent()
    whole = run_load(get_page, [place.port, path, headers], connections=4, seconds=seconds, rate=OFFERED)
    used = place.spent() - before
    thousands = len(whole.seconds) / 1_000
    return [
        Result(
            "queue_page",
            whole.percentile_ms(95),
            "ms p95",
            floor.percentile_ms(95),
            floor.percentile_ms(95) / whole.percentile_ms(95),
            {
                "client": whole.cpu / thousands,
                "server": used.server / thousands,
                "database": used.database / thousands,
            },
            rows_before=rows_before,
            errors=whole.errors + floor.errors,
            note=f"{OFFERED}/s offered; floor: a constant page of the same server",
        ).timed(whole)
    ]


def measure_trust_page(place: Place, slug: str, rows_before: int, *, quick: bool) -> list[Result]:
    """`trust_page`: 90 days, one after another, as a person opens it."""
    headers = {"Cookie": sign_in(place)}
    samples = run_load(
        get_page,
        [place.port, f"/projects/{slug}/trust/?days=90", headers],
        connections=1,
        seconds=1.5 if quick else 15.0,
    )
    return [
        Result(
            "trust_page",
            samples.percentile_ms(95),
            "ms p95",
            None,
            None,
            {},
            rows_before=rows_before,
            errors=samples.errors,
            note="90 days, rollups of 100 million decisions, one client",
        ).timed(samples)
    ]


def read_feed(port: int, slug: str, headers: dict[str, str], most: int) -> Step:
    """Read the feed from its start in pages; one step is one page."""
    wire = Wire(port)
    cursor = 0

    def step(number: int) -> bool | None:
        nonlocal cursor
        if number * PAGE >= most:
            return None
        status, answer = wire.ask(
            request("GET", f"/api/v1/projects/{slug}/outcomes/?after={cursor}&limit={PAGE}", headers=headers)
        )
        entries = json.loads(answer)["results"]
        cursor = entries[-1]["cursor"] if entries else cursor
        return status == 200 and len(entries) == PAGE

    return step


def measure_feed(place: Place, slug: str, filler: Filler, rows_before: int, *, quick: bool) -> list[Result]:
    """`outcomes_feed`: entries a second beside bare SQL with the same pages."""
    most = 20_000 if quick else 1_000_000
    floor_rate = _feed_floor(place, filler, most)
    before = place.spent()
    samples: Samples = run_load(
        read_feed, [place.port, slug, place.headers(), most], connections=1, seconds=600
    )
    used = place.spent() - before
    value = len(samples.seconds) * PAGE / samples.lasted
    thousands = len(samples.seconds) * PAGE / 1_000
    return [
        Result(
            "outcomes_feed",
            value,
            "entries/s",
            floor_rate,
            value / floor_rate,
            {
                "client": samples.cpu / thousands,
                "server": used.server / thousands,
                "database": used.database / thousands,
            },
            rows_before=rows_before,
            errors=samples.errors,
            note=f"{most:,} outcomes in pages of {PAGE}",
        ).timed(samples)
    ]


_FEED = """
select batch.first_number + e.place - 1, i.key, p.output, p.route, p.received_at, m.name, m.version
from labeling_outcomebatch batch
cross join lateral unnest(batch.entries) with ordinality as e (id, place)
join labeling_prediction p on p.id = e.id
join labeling_item i on i.id = p.item_id
join labeling_modelversion m on m.id = p.model_version_id
where batch.project_id = %s and batch.first_number > %s and batch.first_number <= %s
order by 1
"""


def _feed_floor(place: Place, filler: Filler, most: int) -> float:
    read, after = 0, 0
    began = time.perf_counter()
    with place.connect() as connection, connection.cursor() as cursor:
        while read < most:
            cursor.execute(_FEED, [filler.project_id, after, after + PAGE])
            rows: list[Any] = cursor.fetchall()
            read, after = read + len(rows), after + PAGE
            if not rows:
                break
    return read / (time.perf_counter() - began)
