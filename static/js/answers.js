// The answer on a desk: labels, text or fields. The form's own inputs hold it; here is only what makes them quick.

const MODULES = {
  classification: () => import("./labels.js"),
  multilabel: () => import("./labels.js"),
  text: () => import("./transcript.js"),
  fields: () => import("./fields.js"),
};
const NONE = { prepare() {}, state: () => ({ open: false, changes: 0 }), handleKey: () => false };

const { type, person, draftKept } = document.getElementById("main").dataset;
const editable = MODULES[type] ? await MODULES[type]() : NONE;

const kindOf = (desk) => (desk.querySelector("[data-answer]") ? editable : NONE);

/** Once per desk, before it is shown. */
export function prepare(desk) {
  if (desk.dataset.ready) return;
  desk.dataset.ready = "yes";
  kindOf(desk).prepare(desk);
  for (const happening of ["input", "change", "answer:changed"]) desk.addEventListener(happening, () => refresh(desk));
  restoreDraft(desk);
  for (const happening of ["input", "change"]) desk.addEventListener(happening, () => keepDraft(desk));
  refresh(desk);
}

// ---- drafts: what was entered and not sent survives leaving, a reload, a crash ------------------------------------

const DRAFTS = `reviewapp.draft.${person}.`;
const DRAFT_DAYS = 2;
const NOT_ENTERED = ["csrfmiddlewaretoken", "token", "queue", "filter", "seconds"];

const entered = (desk) => [...new FormData(desk)].filter(([name]) => !NOT_ENTERED.includes(name));

function keepDraft(desk) {
  try {
    localStorage.setItem(DRAFTS + desk.dataset.task, JSON.stringify({ at: Date.now(), fields: entered(desk) }));
  } catch {
    return; // no storage: the draft lives as long as the page
  }
  const place = desk.querySelector("[data-left]");
  if (place && !place.textContent) place.textContent = draftKept;
}

function restoreDraft(desk) {
  const kept = JSON.parse(localStorage.getItem(DRAFTS + desk.dataset.task) ?? "null");
  if (!kept) return;
  const fields = new Map();
  for (const [name, value] of kept.fields) fields.set(name, [...(fields.get(name) ?? []), value]);
  for (const control of desk.elements) {
    if (!control.name || NOT_ENTERED.includes(control.name) || control.type === "submit") continue;
    const values = fields.get(control.name) ?? [];
    if (["radio", "checkbox"].includes(control.type)) control.checked = values.includes(control.value);
    else control.value = values[0] ?? "";
  }
  for (const editor of desk.querySelectorAll("textarea")) editor.dispatchEvent(new Event("input"));
}

/** The answer is on its way: it is no draft any more. */
export const forgetDraft = (desk) => localStorage.removeItem(DRAFTS + desk.dataset.task);

for (const name of Object.keys(localStorage).filter((key) => key.startsWith(DRAFTS))) {
  if (Date.now() - JSON.parse(localStorage.getItem(name)).at > DRAFT_DAYS * 86_400_000) localStorage.removeItem(name);
}

/** Whether there is no answer yet. */
export const isOpen = (desk) => stateOf(desk).open;

/** What the editor says, unless a given answer was taken over or a box says that there is nothing to label. */
function stateOf(desk) {
  const state = kindOf(desk).state(desk);
  const taken = desk.querySelector("[name=as_answer]:checked");
  if (taken?.value) return { open: false, changes: 1, text: taken.parentElement.querySelector(".value").textContent };
  const nothing = desk.querySelector("[name^=no_]:checked");
  return nothing ? { ...state, open: false, changes: 1, text: nothing.parentElement.textContent.trim() } : state;
}

/** Lets the kind of answer handle a key; says whether it did. */
export const handleKey = (desk, key, event, typing) =>
  handleOption(desk, key, typing) || kindOf(desk).handleKey(desk, key, event, typing);

/** Adjudication: the digit takes over one of the given answers. */
function handleOption(desk, key, typing) {
  const option = typing ? null : desk.querySelector(`[data-option="${CSS.escape(key)}"]`);
  option?.click();
  return Boolean(option);
}

/** The answer in force, in its places: panel, phone line, primary button. */
function refresh(desk) {
  const { open, changes, text, hint } = stateOf(desk);
  const isMine = changes > 0 || desk.dataset.kind !== "review";
  const now = desk.querySelector("[data-now]");
  if (now && text !== undefined) {
    now.textContent = open ? now.dataset.open : text;
    now.classList.toggle("is-open", open);
    now.classList.toggle("is-person", isMine && !open);
    now.classList.toggle("is-long", now.textContent.length > 80);
  }
  const peek = desk.querySelector("[data-peek]");
  if (text !== undefined) {
    peek.textContent = open ? peek.dataset.open : text;
    peek.className = `clip ${open ? "faint" : isMine ? "says-person" : "says-model"}`;
  }
  const primary = desk.querySelector("[data-primary]");
  const words = primary.dataset;
  primary.querySelector("[data-said]").textContent =
    changes > 1 && words.changes ? words.changes.replace("%d", changes) : isMine ? words.changed : words.same;
  primary.setAttribute("aria-disabled", String(open));
  const left = desk.querySelector("[data-left]");
  if (left) left.textContent = hint ?? "";
}
