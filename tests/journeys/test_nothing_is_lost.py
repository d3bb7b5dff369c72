"""What a page says and keeps when something goes wrong, and what it does with claims."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from playwright.sync_api import Error, Page, Route, expect

from labeling.review.models import ReviewTask, TaskState
from tests.journeys.desk import Desk, decisions, failing_once, intercept, send
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Open = Callable[..., Page]


@pytest.fixture
def desk(open_browser: Open, live_world: World) -> Desk:
    """Rita before five letters, the next one at hand."""
    project = live_world.letters
    send(live_world, project, *({"id": f"l-{n}"} for n in range(1, 6)))
    desk = Desk(open_browser("rita"), project).open()
    desk.shows("l-1")
    desk.has_next()
    return desk


def test_the_next_task_is_there_before_the_server_has_answered(desk: Desk) -> None:
    held_back: list[Route] = []

    def hold_back(route: Route) -> None:
        held_back.append(route)

    intercept(desk.page, "**/decide/", hold_back)
    desk.press("Enter")
    desk.shows("l-2")
    assert decisions(desk.project) == []
    desk.page.wait_for_timeout(50)
    held_back[0].continue_()
    desk.says("l-1 confirmed")
    desk.settles()
    assert decisions(desk.project) == [("l-1", "confirmed", {"label": "a"})]


def test_a_decision_waits_for_the_look_under_way_and_brings_nothing_twice(
    open_browser: Open, live_world: World
) -> None:
    project = live_world.letters
    send(live_world, project, *({"id": f"l-{n}"} for n in range(1, 6)))
    page, looks, decided = open_browser("rita"), list[Route](), list[str]()

    def hold_back(route: Route) -> None:
        looks.append(route)

    page.route("**/tasks/more/", hold_back)
    page.on("request", lambda request: decided.append(request.url) if "/decide/" in request.url else None)
    page.goto(f"/projects/{project.slug}/review/")
    expect(page.locator("form.desk[data-ready]")).to_have_attribute("data-item", "l-1")
    page.keyboard.press("Enter")
    expect(page.locator("form.desk[inert]")).to_have_count(1)
    page.wait_for_timeout(200)
    assert (len(looks), decided) == (1, [])
    looks[0].continue_()
    desk = Desk(page, project)
    desk.shows("l-2")
    desk.says("l-1 confirmed")
    desk.has_next()
    assert len(decided) == 1
    held = ReviewTask.objects.filter(state=TaskState.CLAIMED).order_by("position")
    assert [task.pk for task in held] == [
        int(form.get_attribute("data-task") or "") for form in page.locator("form.desk").all()
    ]


def test_a_decision_and_the_next_task_are_one_request(desk: Desk) -> None:
    asked: list[str] = []
    desk.page.on("request", lambda request: asked.append(request.url))
    desk.press("Enter")
    desk.shows("l-2")
    desk.has_next()
    desk.settles()
    assert [url.rsplit("/", 2)[-2] for url in asked] == ["decide"]


def test_without_an_answer_the_decision_is_kept_and_sent_again(desk: Desk) -> None:
    away = True
    intercept(desk.page, "**/decide/", lambda route: route.abort() if away else route.continue_())
    desk.press("2", "Enter")
    desk.says("Not saved, kept here: no answer from the server.")
    desk.shows("l-2")
    desk.press("Enter")
    desk.says("2 decisions are not saved, kept here")
    away = False
    desk.page.get_by_role("button", name="Try again").click()
    desk.shows("l-3")
    desk.settles()
    assert decisions(desk.project) == [
        ("l-1", "corrected", {"label": "b"}),
        ("l-2", "confirmed", {"label": "a"}),
    ]


def test_a_failing_server_is_named_and_tried_again(desk: Desk) -> None:
    intercept(desk.page, "**/decide/", failing_once(lambda route: route.fulfill(status=503, body="broken")))
    desk.press("Enter")
    desk.says("the server failed")
    desk.says("l-1 confirmed")  # by itself, after a while
    desk.settles()
    assert len(decisions(desk.project)) == 1


def test_an_answer_that_was_lost_on_its_way_does_not_decide_twice(desk: Desk) -> None:
    done: list[int] = []

    def lose_the_answer(route: Route) -> None:
        route.fetch()
        done.append(1)
        route.abort()

    intercept(desk.page, "**/decide/", failing_once(lose_the_answer))
    desk.press("Enter")
    desk.says("Not saved, kept here")
    desk.page.get_by_role("button", name="Try again").click()
    desk.says("l-1 confirmed")
    desk.settles()
    assert done == [1]
    assert decisions(desk.project) == [("l-1", "confirmed", {"label": "a"})]


def test_what_was_not_saved_survives_a_crash_of_the_page(desk: Desk) -> None:
    intercept(desk.page, "**/decide/", lambda route: route.abort())
    desk.press("3", "Enter")
    desk.says("Not saved, kept here")
    context = desk.page.context
    desk.page.close(run_before_unload=False)
    again = Desk(context.new_page(), desk.project).open()
    again.says("l-1 corrected to c")
    again.settles()
    again.shows("l-2")
    assert decisions(desk.project) == [("l-1", "corrected", {"label": "c"})]


def test_signed_out_in_between(desk: Desk, live_world: World) -> None:
    cookies = desk.page.context.cookies()
    desk.page.context.clear_cookies(name=next(c["name"] for c in cookies if "session" in c["name"]))
    desk.press("Enter")
    desk.says("you are signed out")
    desk.page.context.add_cookies(cookies)  # signed in again in another tab
    desk.page.get_by_role("button", name="Try again").click()
    desk.says("l-1 confirmed")


def test_a_claim_lost_to_somebody_else_is_explained(desk: Desk, live_world: World) -> None:
    first = ReviewTask.objects.get(state=TaskState.CLAIMED, position=_position_of(desk))
    ReviewTask.objects.filter(pk=first.pk).update(
        state="waiting", claimed_by=None, claim_token=None, claimed_at=None, lease_expires_at=None
    )
    rolf = live_world.api("rolf")
    rolf.decide(rolf.claim_one(), "corrected", {"label": "c"}).expect(201)
    desk.press("2", "Enter")
    desk.says("l-1: not saved, see why")
    desk.shows("l-2")  # nobody is torn away from what they look at
    desk.page.get_by_role("button", name="Show it").click()
    desk.shows("l-1")
    expect(desk.here.get_by_role("alert")).to_contain_text("rolf decided this one meanwhile.")
    expect(desk.here.get_by_role("alert")).to_contain_text("corrected: c")
    expect(desk.verdict).to_have_text("b")  # what was chosen stays to compare
    desk.here.get_by_role("button", name="Next").click()
    desk.shows("l-2")
    assert decisions(desk.project) == [("l-1", "corrected", {"label": "c"})]


def test_a_claim_that_ran_out_while_nobody_wanted_it_is_no_loss(desk: Desk) -> None:
    ReviewTask.objects.filter(state=TaskState.CLAIMED).update(
        state="waiting", claimed_by=None, claim_token=None, claimed_at=None, lease_expires_at=None
    )
    desk.press("2", "Enter")
    desk.says("l-1 corrected to b")
    desk.settles()
    assert decisions(desk.project) == [("l-1", "corrected", {"label": "b"})]


def test_a_reload_shows_the_same_task_and_leaving_gives_it_back(desk: Desk) -> None:
    desk.page.reload()
    desk.shows("l-1")
    desk.has_next()
    assert ReviewTask.objects.filter(state=TaskState.CLAIMED).count() == 2
    desk.press("q")
    expect(desk.page.locator("h1")).to_have_text("Queues")
    desk.page.wait_for_timeout(300)
    assert ReviewTask.objects.filter(state=TaskState.CLAIMED).count() == 0


def test_a_visible_page_holds_on_to_its_tasks(desk: Desk) -> None:
    before = ReviewTask.objects.filter(state=TaskState.CLAIMED).values_list("lease_expires_at", flat=True)
    soonest = min(before)
    desk.page.clock.install()
    desk.open().has_next()
    with desk.page.expect_response("**/heartbeat/") as beat:
        desk.page.clock.run_for(61_000)
    assert len(beat.value.json()["held"]) >= 1
    assert min(before.all()) > soonest


def test_a_double_click_decides_once(desk: Desk) -> None:
    desk.primary.dblclick()
    desk.says("l-1 confirmed")
    desk.shows("l-2")
    desk.settles()
    assert len(decisions(desk.project)) == 1


def test_a_held_key_decides_once(desk: Desk) -> None:
    desk.page.keyboard.down("Enter")
    for _again in range(5):
        desk.page.keyboard.down("Enter")  # what a keyboard sends while the key is held
    desk.page.keyboard.up("Enter")
    desk.says("l-1 confirmed")
    desk.shows("l-2")
    desk.settles()
    assert len(decisions(desk.project)) == 1


def test_when_nothing_waits_the_page_says_so_and_finds_new_work_by_itself(
    desk: Desk, live_world: World
) -> None:
    for number in range(1, 5):
        desk.press("Enter")
        desk.shows(f"l-{number + 1}")
        desk.says(f"l-{number} confirmed")
    desk.press("Enter")
    expect(desk.page.locator("#nothing")).to_contain_text("Nothing waits for you")
    send(live_world, desk.project, {"id": "late"})
    expect(desk.here).to_have_attribute("data-item", "late", timeout=15_000)
    expect(desk.page.locator("#nothing")).to_have_count(0)


def test_undo_reaches_back_and_keeps_what_is_being_typed(open_browser: Open, live_world: World) -> None:
    project = live_world.make_project("lines", "text")
    send(live_world, project, *({"id": f"t-{n}", "prediction": {"text": f"line {n}"}} for n in range(1, 5)))
    desk = Desk(open_browser("rita"), project).open()
    for number in (2, 3):
        desk.press("Enter")
        desk.shows(f"t-{number}")
        desk.says(f"t-{number - 1} confirmed")
    desk.press("e")
    desk.page.keyboard.type(" half typed")
    desk.press("Escape", "u")
    desk.shows("t-2")
    desk.press("u")
    desk.shows("t-1")
    assert decisions(project) == []
    desk.press("Enter")
    desk.shows("t-2")
    desk.press("Enter")
    desk.shows("t-3")
    expect(desk.here.locator("textarea[name=text]")).to_have_value("line 3 half typed")


def _position_of(desk: Desk) -> int:
    task = desk.here.get_attribute("data-task")
    position: int = ReviewTask.objects.values_list("position", flat=True).get(pk=task)
    return position


def test_a_draft_survives_leaving(open_browser: Open, live_world: World) -> None:
    project = live_world.make_project("lines", "text")
    send(live_world, project, {"id": "t-1", "prediction": {"text": "line one"}})
    desk = Desk(open_browser("rita"), project).open()
    desk.press("e", "End")
    desk.page.keyboard.type(" and two")
    expect(desk.here.locator("[data-left]")).to_have_text("Draft kept")
    context = desk.page.context
    desk.page.close(run_before_unload=False)
    again = Desk(context.new_page(), project).open()
    again.shows("t-1")
    expect(again.here.locator("textarea[name=text]")).to_have_value("line one and two")
    expect(again.primary).to_contain_text("Save correction")
    again.press("Enter")
    again.says("t-1 corrected to line one and two")
    assert decisions(project) == [("t-1", "corrected", {"text": "line one and two"})]


def test_a_draft_survives_a_killed_page_and_a_claim_that_a_lead_took_back(
    open_browser: Open, live_world: World
) -> None:
    project = live_world.make_project("lines", "text")
    send(live_world, project, {"id": "t-1", "prediction": {"text": "line one"}})
    desk = Desk(open_browser("rita"), project).open()
    desk.press("e", "End")
    desk.page.keyboard.type(" and two")
    expect(desk.here.locator("[data-left]")).to_have_text("Draft kept")
    context = desk.page.context
    with desk.page.expect_event("crash"):
        _kill(desk.page)
    desk.page.close()
    again = Desk(context.new_page(), project).open()
    again.shows("t-1")
    text = again.here.locator("textarea[name=text]")
    expect(text).to_have_value("line one and two")
    lea = live_world.api("lea", at=project)
    lea.post(
        f"/tasks/{again.here.get_attribute('data-task')}/take-back/", {"reason": "shift is over"}
    ).expect(200)
    again.press("Enter")
    expect(again.here.get_by_role("alert")).to_contain_text("lea took this task back. Reason: shift is over.")
    expect(text).to_have_value("line one and two")
    assert decisions(project) == []
    assert ReviewTask.objects.get().state == TaskState.WAITING


def _kill(page: Page) -> None:
    """Kills the process that draws the page, as running out of memory does."""
    with suppress(Error):  # nobody is left to answer
        page.goto("chrome://crash", timeout=3_000)


def test_two_tabs_and_the_back_button_make_one_decision(desk: Desk) -> None:
    other = Desk(desk.page.context.new_page(), desk.project).open()
    other.shows("l-1")
    desk.press("2", "Enter")
    desk.says("l-1 corrected to b")
    desk.settles()
    other.press("2", "Enter")  # the same answer again: the same result
    other.says("l-1 corrected to b")
    other.settles()
    third = Desk(desk.page.context.new_page(), desk.project).open()
    third.shows("l-2")
    desk.shows("l-2")
    desk.press("Enter")
    desk.says("l-2 confirmed")
    desk.settles()
    third.press("3", "Enter")  # another answer: told, not taken
    expect(
        third.page.get_by_role("alert").or_(third.page.locator("#toasts .toast-failed"))
    ).not_to_have_count(0)
    desk.page.goto(f"/projects/{desk.project.slug}/")
    desk.page.go_back()
    expect(desk.page.locator("html[data-ready]")).to_be_attached()
    expect(desk.here).to_have_count(1)
    assert desk.here.get_attribute("data-item") not in ("l-1", "l-2")
    assert decisions(desk.project) == [
        ("l-1", "corrected", {"label": "b"}),
        ("l-2", "confirmed", {"label": "a"}),
    ]


def test_the_last_decisions_open_by_key_and_any_can_be_undone(desk: Desk) -> None:
    for number in (1, 2, 3):
        desk.press("Enter")
        desk.shows(f"l-{number + 1}")
        desk.says(f"l-{number} confirmed")
    desk.press("h")
    dialog = desk.page.locator("dialog[open]")
    expect(dialog.locator("tbody tr")).to_have_count(3)
    dialog.get_by_role("button", name="Undo l-1").click()
    desk.shows("l-1")
    expect(dialog).to_have_count(0)
    desk.settles()
    assert [item for item, _verdict, _output in decisions(desk.project)] == ["l-2", "l-3"]
    desk.press("h")
    expect(dialog.locator("tbody tr").nth(2)).to_contain_text("undone")
    desk.press("Escape", "v")
    dialog.get_by_label("Text in the id").fill("l-5")
    dialog.get_by_role("button", name="Show these").click()
    desk.shows("l-5")
    expect(desk.page.locator(".filter.is-on")).to_contain_text("Text l-5")
    desk.press("Enter")
    expect(desk.page.locator("#nothing")).to_contain_text("Nothing matches this filter")
    desk.page.locator(".filter.is-on").click()
    desk.shows("l-1")


def test_earlier_decisions_are_one_key_away(desk: Desk) -> None:
    for number in (1, 2):
        desk.press("Enter")
        desk.shows(f"l-{number + 1}")
        desk.says(f"l-{number} confirmed")
    for key, item in (("k", "l-2"), ("k", "l-1"), ("j", "l-2")):
        with desk.page.expect_navigation():  # the next key is for the scripts of that page
            desk.press(key)
        expect(desk.page.locator("h1")).to_have_text(item)
    desk.press("u")
    desk.shows("l-2")
    desk.says("Undone. The task is open again.")
    assert [item for item, _verdict, _output in decisions(desk.project)] == ["l-1"]
