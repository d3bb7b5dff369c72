"""Runs a program until it succeeds, with growing pauses: `python -S -m reviewapp.stack.retry -- program ...`.

For programs the product can do without (the demo). The supervisor itself would restart one that fails
after its first second at once and for ever.
"""

from __future__ import annotations

import subprocess
import sys
import time

FIRST_PAUSE_S = 5
LONGEST_PAUSE_S = 300


def main(program: list[str]) -> int:
    """Return when the program ended well."""
    pause = FIRST_PAUSE_S
    while subprocess.run(program, check=False).returncode:
        print(f"tried again in {pause} s", file=sys.stderr, flush=True)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[sys.argv.index("--") + 1 :]))
