"""Two who each hold something and want more: one of them waits or is told so, and neither waits for ever."""

from __future__ import annotations

import contextlib
import threading
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from labeling.errors import NotFoundError
from labeling.history.actor import Actor
from labeling.ids import first_id_at
from labeling.pipeline.people import deactivate, set_member
from labeling.projects import accounts
from labeling.projects.accounts import make_password_link, set_password_by_link
from labeling.projects.models import Role
from labeling.review.marks import lower_marks
from labeling.review.models import Purpose, QueueMark, ReviewTask
from tests.world import Beside, World, a_row, in_threads, somebody_waits, uncommitted, wait_until

pytestmark = pytest.mark.slow


def test_a_role_is_taken_while_its_holder_decides(live_world: World) -> None:
    """The decision holds its task and needs the project at the end; the new role holds the project and wants the task."""
    live_world.api("otto").predict(a_row()).expect(201)
    rita = live_world.api("rita")
    task = rita.claim_one()
    change = partial(
        set_member,
        project=live_world.letters,
        username="rita",
        role=Role.VIEWER,
        by=live_world.otto.actor,
    )
    with uncommitted(lambda: rita.decide(task, "confirmed").expect(201)):
        other = Beside(change)
        wait_until(somebody_waits)
    other.end()
    assert ReviewTask.objects.get().state == "decided"
    assert live_world.letters.memberships.get(user=live_world.rita.user).role == Role.VIEWER


def test_a_check_is_corrected_while_somebody_settles_it(live_world: World) -> None:
    """Settling holds its task and waits for the item; the correction holds the item and wants the question to go."""
    project = live_world.make_project("audited", policy={"audit_rate": 1, "sentinel_rate": 0})
    live_world.api("otto", at=project).predict(a_row(confidence=0.99)).expect(201)
    rita, rolf = live_world.api("rita", at=project), live_world.api("rolf", at=project)
    check = rita.claim_one()
    rita.decide(check, "labelled", {"label": "b"}).expect(201)
    settling = rolf.claim_one()
    again = rita.post(f"/tasks/{check['task']}/reopen/", {}).expect(200)
    with uncommitted(lambda: ReviewTask.objects.select_for_update().get(purpose=Purpose.ADJUDICATION)):
        # As when Rolf's decision has begun; whoever waited for him here would hold the item that he needs next.
        rita.decide(again, "labelled", {"label": "c"}).expect_problem(409, "claim_lost")
    rolf.decide(settling, "labelled", {"label": "b"}).expect(201)


def test_an_account_is_closed_while_its_password_is_set(live_world: World) -> None:
    _link, plain = make_password_link(user=live_world.rita.user, by=live_world.ada.actor)
    with uncommitted(lambda: accounts._switch(live_world.rita.user, active=False)):
        other = Beside(partial(set_password_by_link, plain=plain, password="long enough 4 you"))
        wait_until(somebody_waits)
        # What closing does next; it must not wait for the one who waits for it.
        with connection.cursor() as cursor:
            cursor.execute("select 1 from labeling_passwordlink for update nowait")
    with pytest.raises(NotFoundError, match="used, replaced or has expired"):
        other.end()


def test_two_put_back_below_the_mark(live_world: World) -> None:
    live_world.api("otto").predict([a_row(), a_row()]).expect(200)
    high = first_id_at(timezone.now()) + (1 << 30)
    QueueMark.objects.update(low=high)
    mark = QueueMark.objects.order_by("pk").first()
    assert mark is not None
    looked = threading.Barrier(2)

    def put_back(position: int) -> None:
        def meet(execute: Any, sql: str, *args: Any) -> Any:
            answer = execute(sql, *args)
            if sql.startswith("select"):
                with contextlib.suppress(threading.BrokenBarrierError):
                    looked.wait(0.5)
            return answer

        with transaction.atomic(), connection.execute_wrapper(meet):
            lower_marks([(mark.queue_id, mark.priority, position)])

    in_threads([partial(put_back, 100), partial(put_back, 50)])
    mark.refresh_from_db()
    assert mark.low == 50


def test_an_owner_is_deactivated_while_deciding(live_world: World) -> None:
    live_world.api("otto").predict(a_row()).expect(201)
    set_member(project=live_world.letters, username="lea", role=Role.OWNER, by=live_world.ada.actor)
    otto = live_world.api("otto")
    task = otto.claim_one()
    by: Actor = live_world.ada.actor
    with uncommitted(lambda: otto.decide(task, "confirmed").expect(201)):
        other = Beside(partial(deactivate, user=live_world.otto.user, by=by))
        wait_until(somebody_waits)
    other.end()
    live_world.otto.user.refresh_from_db()
    assert not live_world.otto.user.is_active
