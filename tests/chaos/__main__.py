"""`make chaos`: FAULTS and SEED from the environment, a table on the screen, bench/results/chaos.json, 1 when it failed."""

from __future__ import annotations

import os
import random
import sys

from tests.chaos.faults import schedule
from tests.chaos.run import run
from tests.stack.instance import PROJECT

RESULT = PROJECT / "bench" / "results" / "chaos.json"


def main() -> int:
    count = int(os.environ.get("FAULTS") or 12)
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1_000_000))
    print(f"{count} faults, seed {seed}", flush=True)
    report = run(schedule(count, random.Random(seed)), seed, tell=lambda text: print(text, flush=True))
    report.write(RESULT)
    print(f"\n{report.as_text()}\n\nWritten to {RESULT.relative_to(PROJECT)}")
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
