// Decisions on their way to the server, one after the other. An entry leaves only when the server has answered for it:
// it is kept in the browser's storage meanwhile, and sent again after a failure, a crash or a reload. Sending twice is
// harmless, because a claim's token can make one decision only.

export const WAIT_MS = 15_000;
const RETRY_MS = [2_000, 5_000, 10_000, 30_000];

export class Outbox {
  #entries = [];
  #running = false;
  #failures = 0;
  #timer = 0;

  /** `answer` has: token(), extra(), ready() (what to wait for before sending), saved(entry, html), refused(entry, status, html),
   * unreachable(entry, why, count). */
  constructor(owner, answer) {
    this.prefix = `reviewapp.unsent.${owner}.`;
    this.answer = answer;
    addEventListener("online", () => this.run());
    for (const key of Object.keys(localStorage).filter((name) => name.startsWith(this.prefix)).sort()) {
      this.#entries.push(JSON.parse(localStorage.getItem(key)));
    }
  }

  get size() {
    return this.#entries.length;
  }

  holds(task) {
    return this.#entries.some((entry) => entry.task === task);
  }

  /** `body` is text, or a function that gives it at the first attempt; only text outlives the page. */
  add(entry) {
    entry.key = `${this.prefix}${Date.now()}.${entry.task}`;
    if (typeof entry.body === "string") this.#keep(entry);
    this.#entries.push(entry);
    this.run();
  }

  /** Sends what is there. Called again while it runs, it does nothing. */
  async run() {
    if (this.#running) return;
    clearTimeout(this.#timer);
    this.#running = true;
    while (this.#entries.length && (await this.#sendFirst()));
    this.#running = false;
  }

  async #sendFirst() {
    const entry = this.#entries[0];
    await this.answer.ready();
    if (typeof entry.body === "function") entry.body = entry.body();
    const [status, html] = await this.#post(entry);
    if (status === 0 || status === 401 || status === 429 || status >= 500) {
      this.answer.unreachable(entry, status, this.size);
      this.#timer = setTimeout(() => this.run(), RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)]);
      return false;
    }
    this.#failures = 0;
    this.#entries.shift();
    localStorage.removeItem(entry.key);
    if (status < 300) this.answer.saved(entry, html);
    else this.answer.refused(entry, status, html);
    return true;
  }

  async #post(entry) {
    try {
      const response = await fetch(entry.url, {
        method: "POST",
        body: new URLSearchParams([...new URLSearchParams(entry.body), ...this.answer.extra()]),
        headers: { "HX-Request": "true", "X-CSRFToken": this.answer.token() },
        signal: AbortSignal.timeout(WAIT_MS),
      });
      return [response.status, await response.text()];
    } catch {
      return [0, ""];
    }
  }

  #keep(entry) {
    try {
      localStorage.setItem(entry.key, JSON.stringify(entry));
    } catch {
      // Storage is full or forbidden: the page itself still keeps the entry.
    }
  }
}
