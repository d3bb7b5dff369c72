"""The small language of fallback rules: CEL, the Common Expression Language, with a fixed set of names.

Names: `input` (the item's input), `prediction`, `confidence`, `model`, `model_version`, `segment`. A condition that cannot be
worked out for an item (a missing key, a text compared with a number) does not hold for it. See docs/policy.md.
"""

import re
from typing import Any

from labeling.errors import Sentence, quote, say

NAMES = frozenset({"input", "prediction", "confidence", "model", "model_version", "segment"})
MAX_LENGTH = 1_000
_LOOP = re.compile(r"\.\s*(?:map|filter|all|exists|exists_one)\s*\(\s*(\w*)")


class ConditionError(ValueError):
    """The text is not a condition; `detail` says why."""

    def __init__(self, detail: Sentence) -> None:
        super().__init__(detail)
        self.detail = detail


class Condition:
    """A compiled condition. Raises ConditionError when the text is not one."""

    def __init__(self, source: str) -> None:
        if len(source) > MAX_LENGTH:
            raise ConditionError(say("a condition has at most {most} characters", most=MAX_LENGTH))
        loop_names = _LOOP.findall(source)
        if len(loop_names) > 1:
            raise ConditionError(say("a condition has at most one of map, filter, all, exists, exists_one"))
        import cel  # loads a command line of its own, 25 MB: only where somebody wrote a condition

        try:
            self._program = cel.compile(source)
        except ValueError as error:
            raise ConditionError(quote(str(error).split("\n", 1)[0])) from error
        unknown = sorted(set(self._program.variables()) - NAMES - set(loop_names))
        if unknown:
            raise ConditionError(
                say(
                    "unknown name {name!r}; known are {names}",
                    name=unknown[0],
                    names=", ".join(sorted(NAMES)),
                )
            )

    def holds(self, facts: dict[str, Any]) -> bool:
        """Whether the condition is true for these facts."""
        try:
            return self._program.execute(facts) is True
        except (LookupError, TypeError, ValueError, RuntimeError, ArithmeticError):
            return False


def facts_of(
    *,
    item_input: Any,
    prediction: Any,
    confidence: float,
    model: str,
    model_version: str,
    segment: str | None,
) -> dict[str, Any]:
    """What the names of a condition stand for; no segment is the empty text."""
    return {
        "input": item_input,
        "prediction": prediction,
        "confidence": confidence,
        "model": model,
        "model_version": model_version,
        "segment": segment or "",
    }
