/** The visible state of both links: page to client app, client app to server. */

import { byId, element, icon, timeElement } from "/ui/dom.js";
import { fullTime, shortTime } from "/ui/format.js";
import { linkInWords } from "/ui/wording.js";

const START_GRACE_MS = 2_500;
const LOSS_GRACE_MS = 800;

export class LinkState {
  #status = null;
  #pageConnected = null;
  #grace = setTimeout(() => this.showPage(false), START_GRACE_MS);

  /** Say whether this page reaches its app; a loss counts only when it lasts, so that a blink shows nothing. */
  showPage(connected) {
    clearTimeout(this.#grace);
    if (connected || this.#pageConnected === null) return this.#setPage(connected);
    this.#grace = setTimeout(() => this.#setPage(false), LOSS_GRACE_MS);
  }

  showLink(status) {
    this.#status = status;
    this.#draw();
  }

  #setPage(connected) {
    this.#pageConnected = connected;
    this.#draw();
  }

  #draw() {
    if (this.#pageConnected && !this.#status) return;
    const { tone, label, sentence } = linkInWords(this.#status ?? {}, Boolean(this.#pageConnected));
    const pill = byId("link-state");
    pill.dataset.tone = tone;
    pill.replaceChildren(icon(tone), element("span", { textContent: label }));
    const banner = byId("link-banner");
    banner.hidden = !sentence;
    banner.dataset.tone = tone;
    if (sentence) banner.replaceChildren(icon("warning"), element("p", {}, sentence, ...this.#since()));
  }

  #since() {
    if (!this.#pageConnected || !this.#status) return [];
    const { since } = this.#status;
    return [" Since ", timeElement(since, shortTime(since), fullTime(since)), "."];
  }
}
