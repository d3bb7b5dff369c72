"""An endless, repeatable row of predictions out of a pool of cases. Pure: the n-th is the same at every start, so that
sending it twice changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from labeling.decisions.diffing import core_output, equal
from labeling.replay.demo.exhibit import HISTORY_DAYS, Case, Chapter, Exhibit
from labeling.replay.mapping import Json, Truth

_FIRST_HOUR = 7
_WORKING_HOURS = 12


@dataclass(frozen=True, slots=True)
class Shown:
    """One prediction as it is posted, and what people know of its item."""

    row: Json
    truth: Truth


@dataclass(frozen=True)
class Story:
    """The predictions of one exhibit, numbered from 0: first thirty days of past, then what comes in now."""

    exhibit: Exhibit
    cases: Sequence[Case]

    def item_id(self, number: int) -> str:
        """Named from 1; after the last case the first one comes again, as another item."""
        return f"{self.exhibit.item}-{number + 1:06d}"

    def chapter_at(self, number: int) -> Chapter:
        """The last chapter goes on after the history."""
        day = number // self.exhibit.rows_a_day
        return next(c for c in reversed(self.exhibit.chapters) if c.from_day <= day)

    def numbers_of(self, chapter: Chapter) -> range:
        """The part of the history that a chapter is about."""
        place = self.exhibit.chapters.index(chapter)
        following = self.exhibit.chapters[place + 1 : place + 2]
        end = following[0].from_day if following else HISTORY_DAYS
        return range(chapter.from_day * self.exhibit.rows_a_day, end * self.exhibit.rows_a_day)

    def is_right(self, number: int) -> bool:
        """Whether the model was."""
        case = self.cases[number % len(self.cases)]
        said = case.predictions[self.chapter_at(number).model_version]["prediction"]
        return equal(self.exhibit.task_type, core_output(self.exhibit.task_type, said), case.truth)

    def show(self, number: int, opened_at: datetime) -> Shown:
        """The n-th prediction. Those of the history lie in the working hours of the thirty days before `opened_at`;
        later ones carry no time: they happen when they are sent."""
        case = self.cases[number % len(self.cases)]
        version = self.chapter_at(number).model_version
        row: Json = {
            "id": self.item_id(number),
            "input": case.input,
            **case.predictions[version],
            "model": self.exhibit.model,
            "model_version": version,
            "segment": case.segment,
        }
        if number < self.exhibit.history_size:
            row["occurred_at"] = self._moment(number, opened_at).isoformat(timespec="seconds")
        return Shown(row, Truth(case.truth))

    def _moment(self, number: int, opened_at: datetime) -> datetime:
        day, place = divmod(number, self.exhibit.rows_a_day)
        first_day = datetime.combine(opened_at.date(), time(_FIRST_HOUR), opened_at.tzinfo)
        within = timedelta(hours=_WORKING_HOURS) * place / self.exhibit.rows_a_day
        return first_day - timedelta(days=HISTORY_DAYS - day) + within
