"""What people and consumers read: the task page, the confirmation rates, the feed of outcomes."""

from __future__ import annotations

import json
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

from bench.filling import Filler, fill_rollups
from bench.load import Samples, Step, run_load
from bench.place import Place, settle
from bench.results import Result
from bench.rows import make_row
from bench.rows_read import count_rows_read
from bench.wire import Wire, request
from bench.work.ingestion import Target, send_singles

OFFERED = 25
PAGE = 1_000
LAG_OFFERED = 600  # rows a second that come in while the lag is measured
ROLLED_UP = 100_000_000
MOST_ROWS_READ = 10_000
_DESK = re.compile(rb'<form class="desk.*?data-task="(\d+)".*?name="token" value="([^"]+)"', re.DOTALL)


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
    wire.close()
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


def decide_and_swap(port: int, slug: str, cookies: str) -> Step:
    """What the task page sends when a decision is taken: the form, answered by the next task. Each connection is a tab."""
    wire = Wire(port)
    token = re.findall(r"csrf[^=]*=([^;]+)", cookies)[-1]
    headers = {
        "Cookie": cookies,
        "HX-Request": "true",
        "X-CSRFToken": token,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    desks: list[tuple[str, str]] = []

    def send(path: str, **form: Any) -> bool:
        held = [f"{task}:{claim}" for task, claim in desks]
        body = urlencode({"queue": "default", "held": held, **form}, doseq=True).encode()
        status, answer = wire.ask(request("POST", f"/projects/{slug}/tasks/{path}", body, headers=headers))
        desks.extend((task.decode(), claim.decode()) for task, claim in _DESK.findall(answer))
        return status == 200

    def step(_number: int) -> bool:
        task, claim = desks.pop(0)
        return send(f"{task}/decide/", token=claim, action="submit", label="ok", seconds="1") and bool(desks)

    if not send("more/"):
        raise RuntimeError("no tasks for the page")
    return step


def measure_task_page(place: Place, slug: str, rows_before: int, *, quick: bool) -> list[Result]:
    """`queue_page`: the whole page at the offered rate beside a constant page, then the swap to the next task."""
    seconds = 2.0 if quick else 20.0
    cookies = sign_in(place)
    floor = run_load(
        get_page, [place.floor_port, "/constant", {}], connections=4, seconds=seconds, rate=OFFERED
    )
    found = []
    for name, make_step, arguments in (
        ("queue_page", get_page, [place.port, f"/projects/{slug}/review/default/", {"Cookie": cookies}]),
        ("queue_page_swap", decide_and_swap, [place.port, slug, cookies]),
    ):
        before = place.spent()
        samples = run_load(make_step, arguments, connections=4, seconds=seconds, rate=OFFERED)
        used = place.spent() - before
        thousands = len(samples.seconds) / 1_000
        result = Result(
            name,
            samples.percentile_ms(95),
            "ms p95",
            floor.percentile_ms(95),
            floor.percentile_ms(95) / samples.percentile_ms(95),
            {
                "client": samples.cpu / thousands,
                "server": used.server / thousands,
                "database": used.database / thousands,
            },
            rows_before=rows_before,
            errors=samples.errors + floor.errors,
            note=f"{OFFERED}/s offered; floor: a constant page of the same server",
        )
        found.append(result.timed(samples))
    return found


def measure_trust_page(place: Place, slug: str, rows_before: int, *, quick: bool) -> list[Result]:
    """`trust_page`: 90 days with three model versions, as a person opens it, again and again; `trust_page_cpu`: what one costs."""
    with place.connect() as connection:
        fill_rollups(connection, slug, ROLLED_UP)
        while connection.execute("select exists (select from labeling_trustdelta)").fetchone() == (True,):
            settle(0.5)
    headers = {"Cookie": sign_in(place)}
    path = f"/projects/{slug}/trust/"
    rows_read = count_rows_read(place, path)
    before = place.spent()
    samples = run_load(
        get_page,
        [place.port, path, headers],
        connections=1,
        seconds=1.5 if quick else 15.0,
    )
    used = place.spent() - before
    thousands = len(samples.seconds) / 1_000
    result = Result(
        "trust_page",
        samples.percentile_ms(95),
        "ms p95",
        None,
        None,
        {
            "client": samples.cpu / thousands,
            "server": used.server / thousands,
            "database": used.database / thousands,
        },
        rows_before=rows_before,
        errors=samples.errors + (rows_read >= MOST_ROWS_READ),
        note=f"90 days, rollups of {ROLLED_UP:,} predictions, one client; {rows_read:,} rows read",
    )
    # What the computation of one page costs, whoever else wants the processors meanwhile: the limit is 50 ms.
    page = Result(
        "trust_page_cpu",
        1_000 * used.server / len(samples.seconds),
        "ms CPU",
        rows_before=rows_before,
        errors=result.errors,
        note=f"of the web server for one page, {rows_read:,} rows read; the database's {1_000 * used.database / len(samples.seconds):.1f} ms are not in it",
    )
    return [result.timed(samples), page]


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


def send_and_see(target: Target, feed: str, after: int) -> Step:
    """Send a row that is final at once, and read the feed until it is there: what a step takes is the lag, and the sending."""
    wire = Wire(target.port)
    rng = random.SystemRandom()
    cursor = after

    def step(_number: int) -> bool:
        nonlocal cursor
        row = make_row(random.Random(rng.getrandbits(64)), confidence=0.97)
        if wire.ask(request("POST", target.path, row, headers=target.headers))[0] != 201:
            return False
        for _ in range(1_000):
            path = f"{feed}?after={cursor}&limit={PAGE}"
            status, answer = wire.ask(request("GET", path, headers=target.headers))
            if status != 200:
                return False
            read = json.loads(answer)
            cursor = read["cursor"]
            if any(entry["id"] == row["id"] for entry in read["results"]):
                return True
        return False

    return step


def _lag(place: Place, slug: str, filler: Filler, *, quick: bool) -> Samples:
    """How long an outcome takes until a reader sees it, while predictions come in."""
    with place.connect() as connection:
        last = connection.execute(
            "select last_number from labeling_feedhead where project_id = %s", [filler.project_id]
        ).fetchone()
    assert last is not None
    seconds = 4.0 if quick else 20.0
    root = f"/api/v1/projects/{slug}"
    target = Target(place.port, f"{root}/predictions/", place.headers())
    with ThreadPoolExecutor() as pool:
        coming = pool.submit(
            run_load, send_singles, [target, 1], connections=8, seconds=seconds + 2, rate=LAG_OFFERED
        )
        settle()
        seen = run_load(
            send_and_see, [target, f"{root}/outcomes/", last[0]], connections=1, seconds=seconds, rate=10
        )
        seen.errors += coming.result().errors
    return seen


def measure_feed(place: Place, slug: str, filler: Filler, rows_before: int, *, quick: bool) -> list[Result]:
    """`outcomes_feed`: entries a second beside bare SQL with the same pages."""
    most = 20_000 if quick else 1_000_000
    floor_rate = _feed_floor(place, filler, most)
    before = place.spent()
    samples: Samples = run_load(
        read_feed, [place.port, slug, place.headers(), most], connections=1, seconds=600
    )
    used = place.spent() - before
    lag = _lag(place, slug, filler, quick=quick)
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
            errors=samples.errors + lag.errors,
            note=f"{most:,} outcomes in pages of {PAGE}; at {LAG_OFFERED}/s a row is seen {lag.percentile_ms(99):.0f} ms"
            f" (p99; at most {lag.percentile_ms(100):.0f}) after it was sent",
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
