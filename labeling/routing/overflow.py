"""What a policy says about too much work: keep it, answer the oldest by the fallback, or refuse new reviews. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from labeling.errors import FieldError, say

MOST_WAITING = 99_999  # queues are counted up to 100,000
LONGEST_AFTER = 30 * 24 * 3600
SHORTEST_AFTER = 60
RESUME_BELOW = 0.9
_FIELDS = {
    "keep": frozenset[str](),
    "fallback": frozenset({"after_seconds"}),
    "refuse": frozenset({"waiting_max"}),
}
_NAMES = frozenset({"mode", "waiting_max", "after_seconds"})


@dataclass(frozen=True, slots=True)
class Overflow:
    """The rule. `waiting_max` belongs to `refuse`; `after_seconds` to `fallback`, empty: the queue's deadline."""

    mode: str = "keep"
    waiting_max: int | None = None
    after_seconds: int | None = None

    @classmethod
    def of_body(cls, body: Mapping[str, Any]) -> "Overflow":
        """The rule of a stored policy; those older than the rule keep everything."""
        return cls(**body.get("overflow", {}))

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def refuses(self, waiting: int, *, already: bool) -> bool:
        """Whether new reviews are refused while so many wait. Once refused, until a tenth of the limit is free again."""
        if self.mode != "refuse" or self.waiting_max is None:
            return False
        return waiting > (self.waiting_max * RESUME_BELOW if already else self.waiting_max)


def compile_overflow(value: Any, fallback_mode: str, at: str, errors: list[FieldError]) -> Overflow:
    """The rule made ready; what is wrong with it goes to `errors`."""
    mode = value.get("mode") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(mode, str) or mode not in _FIELDS:
        errors.append(FieldError(f"{at}/mode", "invalid", say("overflow mode is keep, fallback or refuse")))
        return Overflow()
    given = {name: part for name, part in value.items() if name != "mode" and part is not None}
    errors += [
        FieldError(
            f"{at}/{name}",
            "invalid",
            say("an overflow with mode {mode} has no {name!r}", mode=mode, name=name),
        )
        for name in sorted((set(given) | (set(value) - _NAMES)) - _FIELDS[mode])
    ]
    if mode == "refuse" and not _is_whole(given.get("waiting_max"), 1, MOST_WAITING):
        detail = say("waiting_max must be a whole number from 1 to {most}", most=MOST_WAITING)
        errors.append(FieldError(f"{at}/waiting_max", "invalid", detail))
    if mode == "fallback":
        after = given.get("after_seconds", SHORTEST_AFTER)
        if not _is_whole(after, SHORTEST_AFTER, LONGEST_AFTER):
            detail = say(
                "after_seconds must be a whole number from {least} to {most}, or null for the queue's deadline",
                least=SHORTEST_AFTER,
                most=LONGEST_AFTER,
            )
            errors.append(FieldError(f"{at}/after_seconds", "invalid", detail))
        elif fallback_mode == "manual":
            detail = say(
                "the fallback is a person, so it cannot answer late reviews: choose constant or rules"
            )
            errors.append(FieldError(f"{at}/mode", "invalid", detail))
    return Overflow(mode, given.get("waiting_max"), given.get("after_seconds"))


def _is_whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
