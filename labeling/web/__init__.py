"""Pages and fragments. One module per area; `page.py` is the door every view goes through."""

from django.http import HttpRequest

from labeling.errors import NotAllowedError, say
from labeling.history.actor import Actor


def actor_of(request: HttpRequest) -> Actor:
    """The signed-in person as the stages know them."""
    user = request.user
    if not user.is_authenticated:
        raise NotAllowedError("not_signed_in", say("Sign in first."))
    return Actor(user_id=user.pk, username=user.get_username(), is_admin=user.is_superuser)
