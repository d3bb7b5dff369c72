// The entry of every page except the review desk.

import { areLettersOff, onKey, press, startPage, switchLetters } from "./page.js";

startPage();

onKey((key, _event, typing) => !typing && press(document.body, key));

const letters = document.querySelector("[data-switch-letters]");
if (letters) {
  letters.checked = !areLettersOff();
  letters.addEventListener("change", () => switchLetters(letters.checked));
}

// Rows of a form that can be repeated, such as the exceptions of a policy.
document.addEventListener("click", (event) => {
  const add = event.target.closest("[data-add-row]");
  const remove = event.target.closest("[data-remove-row]");
  if (add) {
    const rows = document.querySelector(`[data-rows=${add.dataset.addRow}]`);
    rows.append(document.getElementById(add.dataset.addRow).content.cloneNode(true));
    rows.querySelector(":scope > :last-child :is(input, select)").focus();
  }
  if (remove) {
    const form = remove.closest("form");
    remove.closest("[data-row]").remove();
    form.dispatchEvent(new Event("change"));
  }
});

document.addEventListener("click", (event) => event.target.closest("[data-print]") && window.print());
