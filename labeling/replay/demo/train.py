"""`python -m labeling.replay.demo.train SLUG FILE`: trains the models of one exhibit and writes its cases."""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from threadpoolctl import threadpool_limits

from labeling.replay.demo.exhibit import Case

_NICENESS = 10


def main(slug: str, path: Path) -> None:
    """One case a line. The module of an exhibit has the name of its slug and is loaded only when it is asked for."""
    os.nice(5)
    make_cases: Callable[[], list[Case]] = import_module(f"labeling.replay.demo.models.{slug}").make_cases
    # One thread: the machine belongs to whoever looks at the demo meanwhile.
    with threadpool_limits(1), path.open("w", encoding="utf-8") as file:
        file.writelines(case.to_line() + "\n" for case in make_cases())
        file.flush()
        os.fsync(file.fileno())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
