"""Whatever is killed comes back, and nothing that was stored is lost."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.stack.instance import BACK_WITHIN_S, STOP_WITHIN_S, Instance, wait_for

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("program", ["web", "worker", "beat", "valkey", "postgres"])
def test_a_killed_program_comes_back(running: Instance, program: str) -> None:
    before = running.pid(program)
    grandchildren = psutil.Process(before).children(recursive=True)

    os.kill(before, signal.SIGKILL)

    wait_for(lambda: running.pid(program) not in (0, before), BACK_WITHIN_S, f"{program} runs again")
    wait_for(lambda: running.answers("/readyz"), BACK_WITHIN_S, "the product is ready")
    wait_for(
        lambda: not any(p.is_running() for p in grandchildren), BACK_WITHIN_S, "the old children are gone"
    )


def test_a_killed_web_worker_comes_back(running: Instance) -> None:
    master = psutil.Process(running.pid("web"))
    workers = {p.pid for p in master.children()}
    victim = next(
        p for p in master.children() if "multiprocessing.resource_tracker" not in " ".join(p.cmdline())
    )

    victim.kill()

    wait_for(
        lambda: len({p.pid for p in master.children()} - {victim.pid}) == len(workers),
        BACK_WITHIN_S,
        "respawned",
    )
    wait_for(running.answers, BACK_WITHIN_S, "the product answers")
    assert master.is_running()


def test_the_kill_of_the_supervisor_leaves_a_home_that_starts_again(instance: Instance) -> None:
    instance.start()
    with instance.database() as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('still here')")

    instance.kill()
    instance.start()

    wait_for(lambda: instance.answers("/readyz"), BACK_WITHIN_S, "ready")
    with instance.database() as connection:
        assert connection.execute("SELECT word FROM kept").fetchall() == [("still here",)]


def test_a_start_ends_what_a_killed_supervisor_left(instance: Instance) -> None:
    instance.start()
    server = psutil.Process(instance.pid("postgres"))
    # A stopped process cannot follow the supervisor's end, so it is certainly left over.
    server.suspend()

    instance.kill()
    assert server.is_running()
    instance.start()

    assert not server.is_running()
    wait_for(lambda: instance.answers("/readyz"), BACK_WITHIN_S, "ready")


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_leaves_nothing(instance: Instance, with_signal: signal.Signals) -> None:
    instance.start()

    assert instance.stop(with_signal) < STOP_WITHIN_S

    assert instance.left_over() == []
    assert instance.process is not None
    assert instance.process.returncode == 0


def test_two_homes_run_side_by_side_and_end_alone(instance: Instance, running: Instance) -> None:
    instance.start()
    wait_for(lambda: running.answers("/readyz"), BACK_WITHIN_S, "the other instance is ready")
    wait_for(lambda: instance.answers("/readyz"), BACK_WITHIN_S, "this instance is ready")
    secret_key, another = (one.home.path / "secret_key" for one in (instance, running))
    assert secret_key.read_bytes() != another.read_bytes()
    first, second = (one.home.credentials.read_text(encoding="utf-8") for one in (instance, running))
    assert json.loads(first)["password"] != json.loads(second)["password"]
    assert json.loads(first)["api_key"] != json.loads(second)["api_key"]

    instance.kill()
    instance.start()

    wait_for(lambda: running.answers("/readyz"), BACK_WITHIN_S, "the other instance is ready")
    instance.stop()
    wait_for(lambda: running.answers("/readyz"), BACK_WITHIN_S, "the other instance is ready")


def test_a_stop_lets_requests_in_flight_finish(instance: Instance) -> None:
    """Many requests are under way when the stop comes; each is answered or was never taken."""
    instance.start()

    def ask(_number: int) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{instance.port}/readyz", timeout=10) as answer:
                return len(answer.read()) and answer.status
        except ConnectionError:
            return 0
        except OSError as error:
            return 0 if isinstance(getattr(error, "reason", None), ConnectionRefusedError) else -1

    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(ask, range(400))
        instance.stop()
        assert set(answers) <= {200, 0}
