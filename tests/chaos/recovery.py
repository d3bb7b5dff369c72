"""How long until everybody was served again: an operation of each kind that began after the fault has been answered."""

from __future__ import annotations

import time

from tests.chaos.histories import Histories

# What is counted as which kind of work. A publication needs web, database, broker, worker and storage.
KINDS = {
    "predict": "ingestion",
    "claim": "review",
    "decide": "review",
    "read": "feed",
    "publish": "publishing",
}
LIMIT_S = 10.0
GIVE_UP_S = 60.0


class NotRecoveredError(Exception):
    """Something was not answered for GIVE_UP_S."""


def wait_until_recovered(
    histories: Histories, since: float, give_up_s: float = GIVE_UP_S
) -> dict[str, float]:
    """Seconds from `since` to the first answer of each kind; NotRecoveredError when one does not come."""
    found: dict[str, float] = {}
    wanted = set(KINDS.values())
    while wanted - found.keys():
        for line in histories.read_on():
            kind = KINDS.get(line["op"])
            # "Nothing new" is said by web and database alone.
            if kind and line["sent"] >= since and line.get("state") != "nothing new":
                found.setdefault(kind, line["acked"] - since)
        if time.time() - since > give_up_s:
            missing = ", ".join(sorted(wanted - found.keys()))
            raise NotRecoveredError(f"no answer for {give_up_s:.0f} s: {missing}")
        time.sleep(0.02)
    return found
