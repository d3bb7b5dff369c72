"""`make chaos`: a table on the screen, bench/results/chaos.json, exit code 1 when it failed.

From the environment: FAULTS, SEED, ONLY (a part of the names of the faults that are wanted), and MINUTES, after which no
further fault begins.
"""

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
    planned = schedule(count, random.Random(seed), only=os.environ.get("ONLY", ""))
    most_s = 60 * float(os.environ.get("MINUTES") or "inf")
    report = run(planned, seed, most_s=most_s, tell=lambda text: print(text, flush=True))
    report.write(RESULT)
    print(f"\n{report.as_text()}\n\nWritten to {RESULT.relative_to(PROJECT)}")
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
