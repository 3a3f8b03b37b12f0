/** Following a log over one Socket.IO connection: ask, apply the one answer, ask for what comes after it; no document needed. */

import { RequestError, toSignIn } from "./http.js";

const LONGEST_PACE_MS = 50;
const CONNECT_MS = 10_000;
const FIRST_ANSWER_MS = 3_000; // the first question of a connection is answered at once,
const ANSWER_MS = 25_000; // any other one after 20 s at the latest
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5_000;
const LOSS_MS = 1_500; // a loss that is over by then is not shown
const PAGE_AGE_MS = 3_000; // a page is not replaced sooner: if it comes back the same, it would be replaced again and again

/**
 * How long after a question the next one comes, by the entries of the last answer: when little happens, an answer comes
 * within milliseconds; under load, entries are read together (client/relay.py has the figures).
 */
const paceOf = (entries) => Math.min(LONGEST_PACE_MS, Math.max(10, 4 * entries));

const LOST = "Connection lost. Reconnecting; missed entries will load automatically.";

export class Follower {
  #socket;
  #page;
  #place = null; // {log, after}: what the page holds; null until it is loaded
  #ticket = null; // what the next question must return; the first one of a connection has none
  #askedAt = -Infinity;
  #pace = 0;
  #failures = 0;
  #timer = null; // of what comes next on the connection: a question, its answer being due, a new attempt
  #isLoading = false;
  #loadAgain = null;
  #isUp = null;
  #failure = null;
  #showing = null;

  /**
   * `socket` is one that does not reconnect itself. Of the page, `load()` loads all that it shows and returns its place
   * {log, after}, `apply({entries, totals, status})` takes news, and `stateIs(state, sentence)` gets "up" alone, or "lost"
   * or "failed" (to load) with a sentence that says so; the failure's ends in "Retrying automatically."
   */
  constructor(socket, page) {
    this.#socket = socket;
    this.#page = page;
    socket.on("connect", () => this.#connected());
    socket.on("connect_error", (error) => this.#ended(error.description === 401 ? "not_signed_in" : error.data?.code));
    socket.on("disconnect", (reason) => reason !== "io client disconnect" && this.#ended());
    socket.on("closing", ({ reason }) => this.#ended(reason.code));
    socket.on("changes", (answer) => this.#take(answer));
    socket.on("reload", ({ ticket }) => this.#startOver(ticket));
  }

  start() {
    this.#stateIs(false);
    this.#connect();
    this.load();
  }

  /** Load the page and go on from there; a failure is told, and it is tried again after a pause. */
  async load() {
    if (this.#isLoading) return;
    this.#isLoading = true;
    this.#place = null;
    clearTimeout(this.#loadAgain);
    try {
      const { log, after } = await this.#page.load();
      this.#place = { log, after };
      this.#stateIs(this.#isUp);
    } catch (failure) {
      this.#loadFailed(failure);
    } finally {
      this.#isLoading = false;
    }
    this.#askSoon();
  }

  #loadFailed(failure) {
    if (!(failure instanceof RequestError)) throw failure;
    if (failure.status === 401) return toSignIn();
    this.#loadAgain = setTimeout(() => this.load(), this.#pause());
    this.#stateIs(this.#isUp, failure.message);
  }

  #connect() {
    this.#next(CONNECT_MS, () => this.#ended());
    this.#socket.connect();
  }

  #connected() {
    clearTimeout(this.#timer);
    this.#ticket = null;
    this.#askSoon();
  }

  #askSoon() {
    if (!this.#place || !this.#socket.connected) return;
    const wait = Math.min(this.#pace, this.#askedAt + this.#pace - Date.now()); // also when the clock was put back
    if (wait > 0) this.#next(wait, () => this.#ask());
    else this.#ask(); // without a timer, which browsers slow down in pages that are not seen
  }

  #ask() {
    this.#askedAt = Date.now();
    this.#pace = LONGEST_PACE_MS;
    this.#next(this.#ticket === null ? FIRST_ANSWER_MS : ANSWER_MS, () => this.#ended());
    this.#socket.emit("follow", { ...this.#place, ticket: this.#ticket });
  }

  #take({ log, after, next_after: next, ticket, entries, totals, status }) {
    if (log !== this.#place?.log || after !== this.#place.after) return this.#startOver(ticket);
    this.#page.apply({ entries, totals, status });
    this.#place = { log, after: next }; // only now: what was not applied would be missing
    this.#ticket = ticket;
    this.#pace = paceOf(entries.length);
    this.#failures = 0;
    this.#stateIs(true);
    this.#askSoon();
  }

  /** What the page holds is too old or of another log. */
  #startOver(ticket) {
    clearTimeout(this.#timer);
    this.#ticket = ticket;
    this.load();
  }

  /** The connection ended, could not be made or fell silent; `code` says why where the app did. */
  #ended(code) {
    this.#socket.disconnect();
    this.#stateIs(false, this.#failure);
    if (code === "not_signed_in") return this.#leave(toSignIn);
    if (code === "unsupported_protocol") return this.#leave(() => location.reload());
    this.#next(this.#pause(), () => this.#connect());
  }

  #leave(go) {
    this.#next(Math.max(0, PAGE_AGE_MS - performance.now()), go);
  }

  #next(milliseconds, then) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, milliseconds);
  }

  #pause() {
    const longest = Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, LONGEST_PAUSE_MS);
    this.#failures += 1;
    return longest * (0.5 + Math.random() / 2);
  }

  #stateIs(isUp, failure = null) {
    if (isUp === this.#isUp && failure === this.#failure) return;
    [this.#isUp, this.#failure] = [isUp, failure];
    clearTimeout(this.#showing);
    if (failure) this.#page.stateIs("failed", `${failure} Retrying automatically.`);
    else if (isUp) this.#page.stateIs("up", null);
    else this.#showing = setTimeout(() => this.#page.stateIs("lost", LOST), LOSS_MS);
  }
}
