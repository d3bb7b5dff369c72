// What every page needs: single keys, dialogs filled by htmx, copying, the current tab in view.
//
// Keys: a control names its key in data-key and shows it on a chip; there are no secret keys. They are quiet while somebody
// types, in dialogs, with Alt or AltGr (so German, French and Spanish layouts work), and when switched off in the account.
// Backspace and Space are the browser's.

const OFF = "reviewapp.single-keys";
const TYPED = "input:not([type=radio], [type=checkbox], [type=submit], [type=button]), textarea, select, [contenteditable]";

export const isTyping = (target) => target instanceof Element && target.closest(TYPED) !== null;

export const areLettersOff = () => localStorage.getItem(OFF) === "off";

export function switchLetters(on) {
  if (on) localStorage.removeItem(OFF);
  else localStorage.setItem(OFF, "off");
}

/** What was pressed: "s", "?", "3", "shift+3", "enter", "mod+enter", "tab" ... or null when it is none of our business. */
export function keyOf(event) {
  if (event.isComposing || event.altKey || event.getModifierState("AltGraph")) return null;
  if (event.ctrlKey || event.metaKey) {
    const key = event.key.toLowerCase();
    if (key === " ") return "mod+space";
    return ["enter", "z"].includes(key) && !event.shiftKey ? `mod+${key}` : null;
  }
  const digit = /^Digit(\d)$/.exec(event.code); // by position: on some layouts a digit needs Shift
  if (digit) return event.shiftKey ? `shift+${digit[1]}` : digit[1];
  if (/^[0-9]$/.test(event.key)) return event.key; // the number pad
  const key = event.key.toLowerCase();
  return event.shiftKey && (key === "tab" || key === "enter") ? `shift+${key}` : key;
}

// ---- keys that a person has moved: usual key -> own key. Below, everything speaks of the usual ones. --------------------

const moved = JSON.parse(document.body.dataset.keys ?? "{}");
const usualOf = Object.fromEntries(Object.entries(moved).map(([usual, own]) => [own, usual]));

/** The usual key for what was pressed; null where its command has moved away. */
const usual = (key) => usualOf[key] ?? (key in moved ? null : key);

/** Puts the own keys onto the chips, also of what comes later. */
function showMovedKeys() {
  if (!Object.keys(moved).length) return;
  const relabel = (scope) => {
    for (const chip of scope.querySelectorAll("kbd.key:not([data-own])")) {
      const own = moved[chip.textContent.trim().toLowerCase()];
      chip.dataset.own = own ?? "";
      if (own) chip.textContent = own.toUpperCase();
    }
  };
  relabel(document);
  new MutationObserver((changes) => {
    for (const node of changes.flatMap((change) => [...change.addedNodes])) if (node instanceof Element) relabel(node);
  }).observe(document.body, { childList: true, subtree: true });
}

/**
 * Calls `act(key, event, typing)` for every key press that may mean something; what it handles is not the browser's any
 * more. A held key does not repeat. Where Shift+7 means nothing, the character it gives is tried: "/" on many keyboards.
 */
export function onKey(act) {
  document.addEventListener("keydown", (event) => {
    const pressed = keyOf(event);
    const key = pressed && usual(pressed);
    if (key === null || document.querySelector("dialog[open]")) return;
    const typing = isTyping(event.target);
    if (event.repeat && !typing && !["tab", "shift+tab", "j", "k"].includes(key)) {
      if (key === "enter") event.preventDefault();
      return;
    }
    if (!typing && key.length === 1 && !/[0-9]/.test(key) && areLettersOff()) return;
    const meanings = key.startsWith("shift+") && event.key.length === 1 ? [key, usual(event.key)] : [key];
    if (meanings.some((meaning) => meaning !== null && act(meaning, event, typing))) event.preventDefault();
  });
}

/** Clicks the visible control that carries this key, inside `scope`. Says whether there was one. */
export function press(scope, key) {
  for (const control of scope.querySelectorAll("[data-key]")) {
    if (!control.dataset.key.split(" ").includes(key) || control.disabled || !control.checkVisibility()) continue;
    flash(control);
    control.click();
    return true;
  }
  return false;
}

/** Sinks the chip of a control for a moment. */
export function flash(control) {
  const chip = control.querySelector(".key");
  if (!chip) return;
  chip.classList.add("key-pressed");
  setTimeout(() => chip.classList.remove("key-pressed"), 120);
}

const dialog = document.getElementById("dialog");

export function startPage() {
  showMovedKeys();
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target.id === "dialog-content") dialog.showModal();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
  });
  document.addEventListener("click", copy);
  showPlace(document.querySelector(".nav"));
}

/** Scrolls a bar to the place in it that is shown. `scrollIntoView` would also make Tab begin there, past the skip link. */
function showPlace(bar) {
  const place = bar?.querySelector("[aria-current]");
  if (!place) return;
  const [outer, inner] = [bar.getBoundingClientRect(), place.getBoundingClientRect()];
  bar.scrollLeft += (inner.left + inner.right - outer.left - outer.right) / 2;
}

async function copy(event) {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  await navigator.clipboard.writeText(source.value ?? source.textContent);
  const label = [...button.childNodes];
  button.replaceChildren(button.dataset.copied);
  document.getElementById("said").textContent = button.dataset.copied;
  setTimeout(() => button.replaceChildren(...label), 1500);
}
