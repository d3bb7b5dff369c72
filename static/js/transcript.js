// Text with doubtful words: the marks lie under the editor; Tab selects the next one, typing replaces it.

const marksOf = new WeakMap();
const editorOf = (desk) => desk.querySelector("[data-answer] textarea[name=text]");
const paperOf = (desk) => desk.querySelector(".transcript-marks");
const plain = (text) => text.normalize("NFC").replace(/\r\n?/g, "\n").trim();
const MOST_WORDS = 400;

export function prepare(desk) {
  const editor = editorOf(desk);
  const paper = paperOf(desk);
  let at = 0;
  const marks = [];
  for (const node of paper.childNodes) {
    const length = node.textContent.length;
    if (node.nodeName === "MARK") marks.push({ start: at, end: at + length, was: node.textContent });
    at += length;
  }
  marksOf.set(desk, { value: editor.value, marks });
  editor.addEventListener("input", () => follow(desk));
  for (const button of desk.querySelectorAll("[data-word]")) {
    button.addEventListener("click", () => select(desk, Number(button.dataset.word)));
  }
  draw(desk);
}

export function state(desk) {
  const editor = editorOf(desk);
  const changed = plain(editor.value) !== plain(editor.defaultValue);
  const blind = desk.dataset.kind !== "review";
  return {
    open: blind && plain(editor.value) === "",
    changes: Number(changed || blind),
    text: editor.value.trim().split("\n")[0] ?? "",
  };
}

export function handleKey(desk, key, event, typing) {
  const editor = editorOf(desk);
  const { marks } = marksOf.get(desk);
  if (typing && event.target !== editor) return false;
  if (key === "tab") return step(desk, 1, typing);
  if (key === "shift+tab") return step(desk, -1, typing);
  if (!typing && ["j", "k"].includes(key)) return step(desk, key === "j" ? 1 : -1, typing) || true;
  if (!typing && key === "e") {
    editor.focus();
    if (!marks.length) editor.setSelectionRange(editor.value.length, editor.value.length);
    return true;
  }
  return false;
}

/** To the next doubtful word that is as the model left it; past the last one Tab is the browser's again. */
function step(desk, direction, typing) {
  const editor = editorOf(desk);
  const { marks } = marksOf.get(desk);
  const order = direction > 0 ? [...marks.keys()] : [...marks.keys()].reverse();
  const from = typing ? (direction > 0 ? editor.selectionEnd : editor.selectionStart) : direction > 0 ? -1 : Infinity;
  const index = order.find((i) => !marks[i].fixed && (direction > 0 ? marks[i].start >= from : marks[i].end <= from));
  if (index === undefined) return false;
  select(desk, index);
  return true;
}

function select(desk, index) {
  const editor = editorOf(desk);
  const { marks } = marksOf.get(desk);
  // Before the focus: Tab goes on from what came last.
  paperOf(desk).querySelectorAll("mark")[index]?.scrollIntoView({ block: "nearest" });
  editor.focus({ preventScroll: true });
  editor.setSelectionRange(marks[index].start, marks[index].end);
}

/** Moves the marks with what was typed: what lies before the change stays, what lies behind moves, what it touches grows. */
function follow(desk) {
  const held = marksOf.get(desk);
  const [before, after] = [held.value, editorOf(desk).value];
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && before[head] === after[head]) head++;
  let tail = 0;
  while (tail < shorter - head && before.at(-1 - tail) === after.at(-1 - tail)) tail++;
  const end = before.length - tail;
  const delta = after.length - before.length;
  for (const mark of held.marks) {
    if (mark.end < head || (mark.end === head && end > head)) continue;
    if (mark.start > end || (mark.start === end && end > head)) {
      mark.start += delta;
      mark.end += delta;
    } else {
      mark.start = Math.min(mark.start, head);
      mark.end = Math.max(mark.end, end) + delta;
    }
    mark.fixed = after.slice(mark.start, mark.end) !== mark.was;
  }
  held.value = after;
  draw(desk);
}

function draw(desk) {
  const { value, marks } = marksOf.get(desk);
  const parts = [];
  let at = 0;
  for (const mark of marks) {
    const element = document.createElement("mark");
    element.textContent = value.slice(Math.max(mark.start, at), mark.end);
    element.classList.toggle("is-fixed", Boolean(mark.fixed));
    parts.push(value.slice(at, Math.max(mark.start, at)), element);
    at = Math.max(mark.end, at);
  }
  parts.push(value.slice(at), "\u200b"); // the last line has its height even when empty
  paperOf(desk).replaceChildren(...parts);
  for (const button of desk.querySelectorAll("[data-word]")) {
    button.classList.toggle("is-fixed", Boolean(marks[button.dataset.word]?.fixed));
  }
  showChanges(desk);
}

function showChanges(desk) {
  const place = desk.querySelector("[data-changes]");
  if (!place) return;
  const [before, after] = [editorOf(desk).defaultValue, editorOf(desk).value];
  place.closest("section").hidden = plain(before) === plain(after);
  place.replaceChildren(...differences(before, after).map(([kind, text]) => {
    if (kind === "same") return text;
    const element = document.createElement(kind);
    element.textContent = text;
    return element;
  }));
}

/** Word by word: [["same", "a "], ["del", "b"], ["ins", "c"]]; long equal stretches are cut. */
function differences(before, after) {
  const [a, b] = [before.match(/\s+|\S+/g) ?? [], after.match(/\s+|\S+/g) ?? []];
  let head = 0;
  while (head < Math.min(a.length, b.length) && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < Math.min(a.length, b.length) - head && a.at(-1 - tail) === b.at(-1 - tail)) tail++;
  const [from, to] = [a.slice(head, a.length - tail), b.slice(head, b.length - tail)];
  const middle =
    from.length > MOST_WORDS || to.length > MOST_WORDS ? [["del", from.join("")], ["ins", to.join("")]] : align(from, to);
  const lead = a.slice(Math.max(0, head - 8), head).join("");
  const rest = tail ? a.slice(a.length - tail, a.length - tail + 8).join("") : "";
  return [["same", (head > 8 ? "… " : "") + lead], ...middle, ["same", rest + (tail > 8 ? " …" : "")]];
}

function align(a, b) {
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i][j] = a[i] === b[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
    }
  }
  const parts = [];
  const add = (kind, text) => (parts.at(-1)?.[0] === kind ? (parts.at(-1)[1] += text) : parts.push([kind, text]));
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      add("same", a[i++]);
      j++;
    } else if (j >= b.length || (i < a.length && lengths[i + 1][j] >= lengths[i][j + 1])) add("del", a[i++]);
    else add("ins", b[j++]);
  }
  return parts;
}
