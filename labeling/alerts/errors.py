"""What can go wrong when a message is sent."""

from labeling.errors import Sentence


class DeliveryError(Exception):
    """Why a message could not be sent, in one sentence."""

    def __init__(self, detail: Sentence) -> None:
        super().__init__(detail)
        self.detail = detail
