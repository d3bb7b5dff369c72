"""What can go wrong when a message is sent."""


class DeliveryError(Exception):
    """Why a message could not be sent, in one sentence."""
