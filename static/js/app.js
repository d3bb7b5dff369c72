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
    const row = document.getElementById(add.dataset.addRow).content.cloneNode(true);
    add.closest("form").querySelector("[data-rows]").append(row);
    add.closest("form").querySelector("[data-rows] > :last-child :is(input, select)").focus();
  }
  remove?.closest("[data-row]").remove();
});
