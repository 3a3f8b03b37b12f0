/** Following the change log over Socket.IO and HTTP, through lost connections and restarts of the server. */

import { getJson, RequestError, toSignIn } from "/ui/http.js";
import { connect } from "/ui/live_socket.js";
import { ChangeReader } from "./change_reader.js";
import { FeedState } from "./feed_state.js";

const PAGE = 200;
const RETRY_MS = 3_000;

export class ChangeFeed {
  #reader = null;
  #busy = false;
  #again = false;
  #pushed = new Map();
  #handlers;
  #state;

  /** Handlers: onState, onStatus(status, isFirst), onEntries(entries), onTotals(totals), onClient(status), onExplanations(status). */
  constructor(handlers) {
    this.#handlers = handlers;
    this.#state = new FeedState(handlers.onState);
    connect("/operators", {
      probe: "/api/status",
      onState: (state) => this.#stateChanged(state),
      on: {
        changes: (message) => this.#take(message),
        model_status: () => this.#synchronise(),
        client_status: (status) => this.#push(status.client_id, "onClient", status),
        explanation_status: (status) => this.#push("explanations", "onExplanations", status),
      },
    });
    this.#synchronise();
  }

  #stateChanged(state) {
    this.#state.socketIs(state);
    if (state === "up") this.#synchronise();
  }

  /** Ask for the state of the server and for what was missed; calls while it runs make it run once more. */
  async #synchronise() {
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#busy = true;
    try {
      do {
        this.#again = false;
        await this.#readStatus();
        await this.#catchUp();
      } while (this.#again);
      this.#state.requestsSucceeded();
    } catch (failure) {
      this.#failed(failure);
    } finally {
      this.#busy = false;
    }
  }

  /** A log that is shorter than what was read is another log: start over. One that cannot be read is asked for again. */
  async #readStatus() {
    const readBefore = this.#reader?.cursor ?? Infinity; // the reader moves on while the answer is under way
    this.#pushed.clear();
    const status = await getJson("/api/status");
    if (status.cursor === null) throw new RequestError(status.store.reason);
    const isFirst = status.cursor < readBefore;
    await this.#handlers.onStatus(status, isFirst);
    this.#pushed.forEach(([handler, news]) => this.#handlers[handler](news));
    if (isFirst) this.#reader = new ChangeReader(status.cursor);
  }

  /** Hand on what was pushed, and keep the newest of each: a status that was asked for before it may know less. */
  #push(what, handler, news) {
    this.#pushed.set(what, [handler, news]);
    this.#handlers[handler](news);
  }

  async #catchUp() {
    let page;
    do {
      page = await getJson(`/api/changes?after=${this.#reader.cursor}&limit=${PAGE}`);
      this.#take(page);
    } while (page.has_more);
  }

  #take(message) {
    if (this.#reader === null) return;
    const fresh = this.#reader.take(message);
    if (fresh === null) {
      this.#synchronise();
      return;
    }
    if (message.totals && message.next_after >= this.#reader.cursor) this.#push("totals", "onTotals", message.totals);
    if (fresh.length) this.#handlers.onEntries(fresh);
  }

  #failed(failure) {
    if (!(failure instanceof RequestError)) throw failure;
    if (failure.status === 401) return toSignIn();
    this.#state.requestFailed(failure.message);
    setTimeout(() => this.#synchronise(), RETRY_MS);
  }
}
