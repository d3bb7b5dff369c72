"""What one demo project consists of: how it is described, and an endless, repeatable row of predictions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from labeling.replay.mapping import Json, Truth


@dataclass(frozen=True, slots=True)
class Shown:
    """One prediction as it is posted, and what people know of its item."""

    row: Json
    truth: Truth


class Exhibit(Protocol):
    """A model and its data. The n-th prediction is the same at every start, so sending it twice changes nothing."""

    slug: str
    history_size: int

    def project_body(self) -> Json:
        """What the project is made from."""

    def item_id(self, number: int) -> str:
        """The client id of the n-th prediction's item."""

    def show(self, number: int, opened_at: datetime) -> Shown:
        """The n-th prediction. The first `history_size` carry a time before `opened_at`, spread over the history."""
