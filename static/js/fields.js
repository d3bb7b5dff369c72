// Fields of a form: Tab and Enter walk them, doubtful ones first; what differs from the model is marked.

const rows = (desk) => [...desk.querySelectorAll(".frow")];
const inputOf = (row) => row.querySelector("[data-value]");
const plain = (text) => text.normalize("NFC").replace(/\r\n?/g, "\n").trim();
const isChanged = (row) => plain(inputOf(row).value) !== plain(row.dataset.model ?? "");
const isToCheck = (row) => "doubtful" in row.dataset && !row.classList.contains("is-checked") && !isChanged(row);

export function prepare(desk) {
  for (const row of rows(desk)) {
    inputOf(row).addEventListener("focus", () => light(desk, row.dataset.field));
    inputOf(row).addEventListener("blur", () => light(desk, null));
  }
}

export function state(desk) {
  let changes = 0;
  for (const row of rows(desk)) {
    const changed = isChanged(row);
    row.classList.toggle("is-changed", changed && desk.dataset.kind === "review");
    changes += Number(changed);
  }
  const left = rows(desk).filter(isToCheck);
  const list = desk.querySelector("[data-answer]");
  const hint = left.length ? list.dataset.leftWords.replace("%d", left.length) : "";
  const shown = left[0] ?? rows(desk)[0];
  const text = `${shown.querySelector(".name").textContent.trim()}: ${inputOf(shown).value || "–"}`;
  const blind = desk.dataset.kind !== "review";
  return { open: blind && changes === 0, changes: blind ? Math.min(changes, 1) : changes, hint, text };
}

export function handleKey(desk, key, event, typing) {
  const row = event.target.closest?.(".frow");
  if (typing && row) {
    const inLines = event.target.matches("textarea");
    if (key === "enter" && !inLines) {
      row.classList.add("is-checked");
      next(desk, row)?.focus() ?? event.target.blur();
      desk.dispatchEvent(new Event("answer:changed"));
      return true;
    }
    return false;
  }
  if (typing) return false;
  const first = rows(desk).find(isToCheck) ?? rows(desk)[0];
  if (["e", "tab", "j"].includes(key)) {
    enter(first);
    return true;
  }
  if (key === "k" || key === "shift+tab") {
    enter(rows(desk).at(-1));
    return true;
  }
  return false;
}

function next(desk, row) {
  const all = rows(desk);
  const later = [...all.slice(all.indexOf(row) + 1), ...all.slice(0, all.indexOf(row))];
  const found = later.find(isToCheck);
  if (found) inputOf(found).select?.();
  return found && inputOf(found);
}

function enter(row) {
  row.scrollIntoView({ block: "nearest" }); // before the focus: Tab goes on from what came last
  inputOf(row).focus();
  inputOf(row).select?.();
}

/** Marks on the page image where the model read this field. */
function light(desk, name) {
  for (const box of desk.querySelectorAll("[data-box]")) box.classList.toggle("is-here", box.dataset.box === name);
}
