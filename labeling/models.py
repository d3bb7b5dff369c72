"""Registry: brings every stage's models to Django's notice. Nobody else imports this module."""

from labeling.alerts.models import *  # noqa: F403
from labeling.datasets.models import *  # noqa: F403
from labeling.decisions.models import *  # noqa: F403
from labeling.history.models import *  # noqa: F403
from labeling.ingestion.models import *  # noqa: F403
from labeling.ledger.models import *  # noqa: F403
from labeling.projects.models import *  # noqa: F403
from labeling.review.models import *  # noqa: F403
from labeling.routing.models import *  # noqa: F403
from labeling.trust.models import *  # noqa: F403
