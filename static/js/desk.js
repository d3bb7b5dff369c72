// The review desk. One task is here, the next one waits hidden beside it, decided ones leave through the outbox.
// The move to the next task does not wait for the server; a desk is only thrown away once the server has answered for it.

import { forgetDraft, handleKey, isOpen, prepare } from "./answers.js";
import { flash, onKey, press, startPage } from "./page.js";
import { Outbox, WAIT_MS } from "./outbox.js";

const HEARTBEAT_MS = 60_000;
const FIRST_BEAT_MS = 5_000;
const LOOK_AGAIN_MS = 10_000;
const TOAST_MS = 6_000;

const stage = document.getElementById("main");
const words = stage.dataset;
const toasts = document.getElementById("toasts");

// ---- desks: exactly one is visible --------------------------------------------------------------------------------

const desks = () => [...stage.querySelectorAll("form.desk")];
const deskOf = (task) => document.getElementById(`desk-${task}`);
const here = () => desks().find((desk) => !desk.hidden);
const spare = () => desks().find((desk) => desk.hidden && !desk.dataset.gone);
const isOver = (desk) => !desk || (desk.dataset.gone && !desk.classList.contains("is-lost"));
const held = () => desks().filter((desk) => !desk.dataset.gone);

function show(desk) {
  for (const other of desks()) other.hidden = other !== desk;
  document.getElementById("nothing")?.remove();
  prepare(desk);
  desk.inert = false;
  clock(desk).run();
  scrollTo(0, 0);
  desk.querySelector(".desk-item").focus({ preventScroll: true });
}

function showNext() {
  const next = spare();
  if (next) show(next);
  return Boolean(next);
}

/** Seconds that a desk was looked at: the hidden time of the page does not count. */
const clocks = new WeakMap();
function clock(desk) {
  if (!clocks.has(desk)) {
    let total = 0;
    let since = null;
    const now = () => performance.now() / 1000;
    const stop = () => {
      if (since !== null) total += now() - since;
      since = null;
    };
    clocks.set(desk, {
      run: () => (since ??= document.visibilityState === "visible" ? now() : null),
      stop,
      read: () => total + (since === null ? 0 : now() - since),
    });
  }
  return clocks.get(desk);
}

/** Until the first answer, the server may offer what an earlier life of this page still holds. */
let isFresh = true;
const heldAs = (desk) => `${desk.dataset.task}:${desk.elements.token.value}`;

// ---- sending ------------------------------------------------------------------------------------------------------

const outbox = new Outbox(words.person, {
  token: () => document.cookie.split("; ").find((part) => part.startsWith(`${words.csrfCookie}=`))?.split("=")[1] ?? "",
  extra: () => [
    ...held().map((desk) => ["held", heldAs(desk)]),
    ["queue", words.queue],
    ["filter", words.filter],
    ["own", isFresh ? "1" : ""],
  ],
  ready: () => looking, // what a look under way brings is held too: no decision brings as much once more
  saved(entry, html) {
    isFresh = false;
    deskOf(entry.task)?.remove();
    clearToast("failed");
    insert(html);
    if (isOver(here())) showNext() || here() || lookForMore();
  },
  refused(entry, status, html) {
    const desk = deskOf(entry.task);
    const wasHere = desk && !desk.hidden;
    const message = document.createRange().createContextualFragment(html);
    if (!desk) {
      toast(message.querySelector("p")?.textContent ?? words.refused, { kind: "failed" });
      return;
    }
    desk.querySelector(".desk-note").replaceChildren(message);
    setBusy(desk, false);
    if (status === 422) delete desk.dataset.gone;
    else desk.classList.add("is-lost");
    if (wasHere || !here()) show(desk);
    else toast(`${desk.dataset.item}: ${words.refused}`, { kind: "failed", act: () => show(desk), label: words.showIt });
  },
  unreachable(entry, status, count) {
    const why = status === 401 ? words.signedOut : status === 0 ? words.noAnswer : words.serverFailed;
    const what = count > 1 ? words.notSavedMany.replace("%d", count) : words.notSaved;
    toast(`${what} ${why}`, { kind: "failed", act: () => outbox.run(), label: words.tryAgain });
  },
});

function send(desk, button) {
  if (desk.dataset.gone) return;
  if (!button.hasAttribute("formaction") && button.value === "submit" && isOpen(desk)) {
    toast(words.chooseFirst, { kind: "hint" });
    return;
  }
  clock(desk).stop();
  desk.elements.seconds.value = clock(desk).read().toFixed(2);
  const fields = new FormData(desk, button);
  fields.delete("csrfmiddlewaretoken");
  forgetDraft(desk);
  desk.dataset.gone = "yes";
  setBusy(desk, true);
  showNext(); // with none at hand, the desk stays in sight until the answer is there
  outbox.add({
    url: button.getAttribute("formaction") ?? desk.getAttribute("action"), // `desk.action` is the buttons of that name
    body: new URLSearchParams(fields).toString(),
    task: desk.dataset.task,
  });
}

function setBusy(desk, busy) {
  desk.inert = busy;
  const primary = desk.querySelector("[data-primary]");
  primary.classList.toggle("btn-busy", busy);
  if (busy) primary.querySelector("[data-said]").textContent = words.saving;
  else desk.dispatchEvent(new Event("answer:changed"));
}

/** Which decision is the last is known only once those before it are saved, so the outbox asks when its turn has come. */
function undo(decision) {
  const url = document.getElementById("undo-form").getAttribute("action");
  outbox.add({ url, body: () => new URLSearchParams({ decision: decision() }).toString(), task: "undo" });
}

/** Puts what the server sent where it belongs: desks hidden at the end, other parts in place of their namesakes. */
function insert(html) {
  const parts = document.createElement("template");
  parts.innerHTML = html;
  let first = null;
  for (const part of [...parts.content.children]) {
    if (part.matches("form.desk")) {
      if (deskOf(part.dataset.task)) continue;
      const isFirst = "first" in part.dataset;
      if (isFirst) stage.insertBefore(part, desks()[0] ?? null);
      else stage.append(part);
      htmx.process(part);
      first ??= isFirst ? part : null;
    } else if (part.matches("[data-toast]")) {
      showToast(part);
    } else if (part.id) {
      document.getElementById(part.id)?.replaceWith(part);
      if (part.id === "nothing" && !document.getElementById("nothing")) stage.append(part);
      htmx.process(part);
    }
  }
  if (first) {
    const current = here();
    if (current) clock(current).stop();
    show(first);
  }
  if (here()) document.getElementById("nothing")?.remove();
}

// ---- toasts: one at a time, a failed one stays ----------------------------------------------------------------------

function showToast(element) {
  toasts.replaceChildren(element);
  if (element.classList.contains("toast-failed")) return;
  setTimeout(() => element.remove(), TOAST_MS);
}

function toast(text, { kind, act, label } = {}) {
  const element = document.createElement("div");
  element.className = `toast${kind === "failed" ? " toast-failed" : ""}`;
  element.dataset.kind = kind ?? "";
  element.append(text);
  if (act) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.className = "nowrap";
    button.addEventListener("click", () => {
      element.remove();
      act();
    });
    element.append(" ", button);
  }
  showToast(element);
}

const clearToast = (kind) => toasts.querySelector(`[data-kind="${kind}"]`)?.remove();

// ---- more tasks, holding them, leaving --------------------------------------------------------------------------------

async function post(url, body) {
  const response = await fetch(url, {
    method: "POST",
    body,
    headers: { "HX-Request": "true", "X-CSRFToken": outbox.answer.token() },
    signal: AbortSignal.timeout(WAIT_MS),
  });
  if (!response.ok) throw new Error(String(response.status));
  return response.text();
}

let looking = null;
const lookForMore = () => (looking ??= look().finally(() => (looking = null)));

async function look() {
  if (outbox.size || document.visibilityState === "hidden") return;
  try {
    const html = await post(words.moreUrl, new URLSearchParams(outbox.answer.extra()));
    isFresh = false;
    insert(html);
    if (isOver(here())) showNext();
  } catch {
    // The next look, or the next decision, tries again.
  }
}

const claims = () => {
  const body = new FormData();
  for (const desk of held()) body.append("held", heldAs(desk));
  body.append("csrfmiddlewaretoken", outbox.answer.token());
  return body;
};

async function beat() {
  if (document.visibilityState === "hidden" || !held().length) return;
  try {
    const answer = JSON.parse(await post(words.heartbeatUrl, claims()));
    for (const { task, until } of answer.held) {
      const place = deskOf(task)?.querySelector("[data-until]");
      if (place) place.textContent = until;
    }
    for (const { task, html } of answer.lost) lose(deskOf(String(task)), html);
  } catch {
    // Offline: the claim holds until its lease ends, and a decision says what happened.
  }
}

function lose(desk, html) {
  if (!desk || desk.dataset.gone) return;
  if (desk.hidden) {
    desk.remove();
    lookForMore();
    return;
  }
  desk.dataset.gone = "yes";
  desk.classList.add("is-lost");
  desk.querySelector(".desk-note").innerHTML = html;
}

/** Gives back what is held: at once when a link was followed, soon when this may be a reload, which shows it again. */
let following = false;
function leave() {
  if (!held().length) return;
  const body = claims();
  if (!following) body.append("soon", "1");
  navigator.sendBeacon(words.releaseUrl, body);
}

// ---- what happens on the page -------------------------------------------------------------------------------------------

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("form.desk")) {
    event.preventDefault();
    send(form, event.submitter ?? form.querySelector("[data-primary]"));
  } else if (form.id === "undo-form") {
    event.preventDefault();
    undo(() => form.elements.decision.value);
  } else if (form.matches("[data-undo]")) {
    event.preventDefault();
    form.closest("dialog")?.close();
    const decision = form.elements.decision.value;
    undo(() => decision);
  }
  following = form.matches("[data-leads-away]");
});

// The second half of a double click would decide a task that nobody has seen.
document.addEventListener(
  "click",
  (event) => event.detail > 1 && event.target.closest(".actions, .toast") && event.preventDefault(),
  { capture: true },
);

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  following = Boolean(link) && link.target !== "_blank" && !event.defaultPrevented;
  if (event.target.closest("[data-drop]")) {
    event.target.closest("form.desk").remove();
    showNext() || lookForMore();
  }
  const player = event.target.closest("[data-play]");
  if (player) play(player.closest("form.desk"), player.dataset.play);
  const note = event.target.closest("[data-note]");
  if (note) openNote(note.closest("form.desk"));
});

function openNote(desk) {
  const place = desk.querySelector("details.note");
  place.open = true;
  place.querySelector("textarea").focus();
}

/** Recordings: play or pause, or go some seconds on or back. Says whether there is one. */
function play(desk, how) {
  const player = desk.querySelector("[data-player]");
  if (!player) return false;
  if (how !== "toggle") player.currentTime = Math.max(0, player.currentTime + Number(how));
  else if (player.paused) player.play().catch(() => {}); // the player itself says what is wrong with the recording
  else player.pause();
  return true;
}

function submitHere(desk) {
  const primary = desk.querySelector("[data-primary]");
  flash(primary);
  desk.requestSubmit(primary);
}

onKey((key, event, typing) => {
  const desk = here();
  return desk && !desk.inert ? meansSomething(desk, key, event, typing) : !typing && press(document, key);
});

/** Does what the key stands for; says whether it was ours. */
function meansSomething(desk, key, event, typing) {
  if (key === "mod+enter") {
    submitHere(desk);
    return true;
  }
  if (key === "mod+space") return play(desk, "toggle");
  const onControl = event.target.closest?.("a, button, summary");
  if ((key === "tab" || key === "shift+tab") && !typing && !event.target.matches("body, .desk-item")) return false;
  if (handleKey(desk, key, event, typing)) return true;
  if (typing) {
    if (key !== "escape") return false;
    event.target.blur();
    desk.querySelector(".desk-item").focus({ preventScroll: true });
    return true;
  }
  if (key === "enter" || key === "a") {
    if (key === "enter" && onControl) return false;
    submitHere(desk);
    return true;
  }
  return press(desk, key === "mod+z" ? "u" : key) || press(document, key);
}

if (navigator.maxTouchPoints > 0) {
  const { startSwiping } = await import("./swipe.js");
  const buttonFor = (desk, direction) => desk.querySelector(direction > 0 ? "[data-primary]" : "[data-skip]");
  startSwiping(stage, {
    here,
    say: (desk, direction) => (buttonFor(desk, direction).querySelector("[data-said]") ?? buttonFor(desk, direction).firstChild).textContent.trim(),
    act: (desk, direction) => desk.requestSubmit(buttonFor(desk, direction)),
  });
}

document.addEventListener("visibilitychange", () => {
  const desk = here();
  if (!desk) return;
  if (document.visibilityState === "hidden") clock(desk).stop();
  else {
    clock(desk).run();
    beat();
  }
});
addEventListener("pagehide", leave);
addEventListener("pageshow", (event) => event.persisted && location.reload());
addEventListener("beforeunload", (event) => outbox.size && event.preventDefault());

startPage();
for (const element of toasts.querySelectorAll("[data-toast]")) setTimeout(() => element.remove(), TOAST_MS);
for (const desk of desks().filter((one) => outbox.holds(one.dataset.task))) {
  desk.dataset.gone = "yes"; // decided before a crash or reload, and on its way
  setBusy(desk, true);
}
if (here() && !here().dataset.gone) show(here());
outbox.run();
lookForMore().finally(() => (document.documentElement.dataset.ready = "yes")); // browser tests wait for this
setTimeout(beat, FIRST_BEAT_MS); // the page before this one may just have said that it leaves soon
setInterval(beat, HEARTBEAT_MS);
setInterval(() => here() || lookForMore(), LOOK_AGAIN_MS);
