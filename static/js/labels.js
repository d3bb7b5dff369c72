// Choosing labels: digits in schema order, a filter for long lists.

const inputs = (desk) => [...desk.querySelectorAll("[data-answer] input[data-label]")];
const typed = (desk) => desk.querySelector("[data-answer] [data-open-label]");
const nameOf = (input) => input.closest("label").querySelector(".clip").textContent;

export function prepare(desk) {
  const filter = desk.querySelector("[data-filter]");
  filter?.addEventListener("input", () => narrow(desk, filter.value));
  desk.addEventListener("change", (event) => {
    // "No label applies" and labels exclude each other.
    if (!event.target.matches("[type=checkbox]") || !event.target.checked) return;
    const others = event.target.matches("[data-none]") ? inputs(desk) : desk.querySelectorAll("[data-none]");
    for (const other of others) other.checked = false;
  });
}

export function state(desk) {
  const open = typed(desk);
  if (open) {
    const value = open.value.trim();
    return { open: !value, changes: Number(value !== open.defaultValue.trim() || desk.dataset.kind !== "review"), text: value };
  }
  const all = inputs(desk);
  const chosen = all.filter((input) => input.checked);
  const none = desk.querySelector("[data-none]");
  for (const shortcut of desk.querySelectorAll("label.label-row[for]")) {
    shortcut.classList.toggle("is-chosen", document.getElementById(shortcut.htmlFor).checked);
  }
  const isSame = all.every((input) => input.checked === input.hasAttribute("data-model"));
  return {
    open: chosen.length === 0 && !none?.checked && !(desk.dataset.type === "multilabel" && desk.dataset.kind === "review"),
    changes: Number(!isSame || desk.dataset.kind !== "review"),
    text: chosen.length ? chosen.map(nameOf).join(", ") : desk.querySelector("[data-now]").dataset.none,
  };
}

export function handleKey(desk, key, event, typing) {
  const filter = desk.querySelector("[data-filter]");
  if (typing) {
    if (event.target !== filter || !["enter", "escape"].includes(key)) return false;
    const first = inputs(desk).find((input) => !input.closest("label").hidden);
    if (key === "enter" && filter.value && first) choose(desk, first);
    filter.value = "";
    narrow(desk, "");
    filter.blur();
    return true;
  }
  if (key === "/" && filter) {
    filter.focus();
    return true;
  }
  if (key === "e" && typed(desk)) {
    typed(desk).select();
    return true;
  }
  const input = desk.querySelector(`[data-answer] input[data-digit="${CSS.escape(key)}"]`);
  if (!input) return false;
  choose(desk, input);
  return true;
}

function choose(desk, input) {
  input.checked = input.type === "checkbox" ? !input.checked : true;
  input.dispatchEvent(new Event("change", { bubbles: true }));
  desk.dispatchEvent(new Event("answer:changed"));
  const chip = input.closest("label").querySelector(".key");
  chip?.classList.add("key-pressed");
  setTimeout(() => chip?.classList.remove("key-pressed"), 120);
  input.closest("label").scrollIntoView({ block: "nearest" });
}

function narrow(desk, text) {
  const wanted = text.trim().toLocaleLowerCase();
  for (const input of inputs(desk)) {
    input.closest("label").hidden = !nameOf(input).toLocaleLowerCase().includes(wanted);
  }
}
