/** The visible state of the live connection to the server. */

import { byId, element, icon, timeElement } from "/ui/dom.js";
import { fullTime, shortTime } from "/ui/format.js";

const LOSS_GRACE_MS = 800;

const LIVE = { tone: "good", label: "Live" };
const LOST = {
  tone: "bad",
  label: "Connection lost",
  sentence: "The connection to the server is lost. It is tried again all the time; when it is back, what was missed is loaded.",
};

export class LiveState {
  #lostAt = null;
  #timer = null;

  /** `state` is "up", "lost" or "failed" with its sentence; a loss that is over at once shows nothing. */
  show(state, sentence = null) {
    if (state === "up") return this.#set(LIVE);
    this.#lostAt ??= new Date().toISOString();
    if (state === "failed") return this.#set({ ...LOST, label: "No data", sentence: `${sentence} It is tried again by itself.` });
    this.#timer ??= setTimeout(() => this.#set(LOST), LOSS_GRACE_MS);
  }

  #set({ tone, label, sentence = null }) {
    clearTimeout(this.#timer);
    this.#timer = null;
    if (!sentence) this.#lostAt = null;
    const pill = byId("live-state");
    pill.dataset.tone = tone;
    pill.replaceChildren(icon(tone), element("span", { textContent: label }));
    const banner = byId("live-banner");
    banner.hidden = !sentence;
    banner.dataset.tone = tone;
    if (!sentence) return;
    const since = timeElement(this.#lostAt, shortTime(this.#lostAt), fullTime(this.#lostAt));
    const hasFigures = byId("server-facts").getAttribute("aria-busy") === "false";
    const age = hasFigures ? [" The figures shown are those of ", since, "."] : [];
    banner.replaceChildren(icon("warning"), element("p", {}, sentence, ...age));
  }
}
