// Swiping on a touch screen: right does what the primary button does, left skips. The buttons stay, and say the same.
//
// It must never happen by accident: the first centimetre decides between swiping and scrolling, once and for all of that
// touch; a second finger, a zoomed page, a selection, whatever scrolls sideways or is typed into, and the edges of the
// screen, which belong to the system, are left alone.

import { isTyping } from "./page.js";

const DECIDE_PX = 14;
const STEEPEST = 0.6; // sideways means: less than this much up or down for each step to the side
const DRIFT_PX = 70;
const EDGE_PX = 24;
const ENOUGH_SHARE = 0.28; // of the width of the screen

/** `here()` is the desk in sight; `act(desk, direction)` does it, and `say(desk, direction)` names it: 1 right, -1 left. */
export function startSwiping(stage, { here, act, say }) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const cue = document.createElement("div");
  cue.className = "swipe-cue";
  cue.setAttribute("aria-hidden", "true");
  cue.hidden = true;
  document.body.append(cue);
  let touch = null;

  const enough = () => Math.max(90, innerWidth * ENOUGH_SHARE);

  function begin(event) {
    end();
    const [finger] = event.touches;
    const desk = here();
    const isFree =
      event.touches.length === 1 && desk && !desk.inert && desk.contains(event.target) && !isTaken(event.target, desk) &&
      finger.clientX > EDGE_PX && finger.clientX < innerWidth - EDGE_PX && (window.visualViewport?.scale ?? 1) < 1.01;
    if (isFree) touch = { desk, x: finger.clientX, y: finger.clientY, dx: 0, swiping: false };
  }

  function move(event) {
    if (!touch) return;
    if (event.touches.length !== 1 || touch.desk.hidden || !getSelection().isCollapsed) return end();
    const dx = event.touches[0].clientX - touch.x;
    const dy = Math.abs(event.touches[0].clientY - touch.y);
    if (!touch.swiping) {
      if (Math.hypot(dx, dy) < DECIDE_PX) return undefined;
      if (dy > Math.abs(dx) * STEEPEST) return end(); // this touch scrolls
      touch.swiping = true;
    }
    if (dy > DRIFT_PX) return end();
    touch.dx = dx;
    return draw();
  }

  function draw() {
    const direction = Math.sign(touch.dx);
    cue.hidden = false;
    cue.textContent = say(touch.desk, direction);
    cue.dataset.side = direction > 0 ? "right" : "left";
    cue.classList.toggle("is-armed", Math.abs(touch.dx) >= enough());
    if (!calm.matches) touch.desk.style.translate = `${touch.dx}px 0`;
  }

  function end() {
    if (touch) touch.desk.style.translate = "";
    touch = null;
    cue.hidden = true;
  }

  function lift() {
    const done = touch;
    end();
    if (done?.swiping && Math.abs(done.dx) >= enough()) act(done.desk, Math.sign(done.dx));
  }

  stage.addEventListener("touchstart", begin, { passive: true });
  stage.addEventListener("touchmove", move, { passive: true });
  stage.addEventListener("touchend", lift, { passive: true });
  stage.addEventListener("touchcancel", end, { passive: true });
}

/** Whether a touch here means something else already. */
function isTaken(target, desk) {
  if (isTyping(target) || target.closest("audio, video, iframe, .actions, [type=range]")) return true;
  for (let element = target; element && element !== desk.parentElement; element = element.parentElement) {
    const isWide = element.scrollWidth > element.clientWidth + 1;
    if (isWide && ["auto", "scroll"].includes(getComputedStyle(element).overflowX)) return true;
  }
  return false;
}
