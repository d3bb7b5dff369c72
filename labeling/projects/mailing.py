"""Links by e-mail, where a mail server is set up. Without one, or when it fails, whoever made the link hands it over."""

import logging
import smtplib
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.utils.translation import gettext as _

from labeling.projects.models import Invitation

log = logging.getLogger(__name__)


def mail_invitation(invitation: Invitation, url: str) -> bool:
    """Whether the link went to the address in the invitation."""
    values = {"project": invitation.project.name, "role": invitation.get_role_display(), "url": url}
    return _mail(
        invitation.email,
        _("Join %(project)s") % values,
        _("You are invited to %(project)s as %(role)s. This link works once, for a week:\n\n%(url)s\n")
        % values,
    )


def mail_password_link(user: Any, url: str) -> bool:
    """Whether the link went to the address of the account."""
    values = {"name": user.get_username(), "url": url}
    return _mail(
        user.email,
        _("A new password for %(name)s") % values,
        _("With this link you set a new password. It works once, for a day:\n\n%(url)s\n") % values,
    )


def _mail(to: str, subject: str, text: str) -> bool:
    if not to or not settings.EMAIL_HOST:
        return False
    try:
        send_mail(" ".join(subject.split()), text, None, [to])
    except (OSError, smtplib.SMTPException):  # the link is shown all the same
        log.exception("an e-mail could not be sent")
        return False
    return True
