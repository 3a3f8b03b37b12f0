/** Sentences about the language model for operators: whether it is asked, what to do about it, what became of it. */

import { count, shortTime } from "/ui/format.js";

/** Say in a line whether the language model is asked: the state of its circuit. */
export function circuitInWords({ state, seconds_left: seconds }, now = Date.now()) {
  if (state === "closed") return "Circuit closed: asked for each prediction";
  if (state === "half_open") return "Circuit half-open: tried again with one explanation at a time";
  return `Circuit open until ${end(seconds, now)}: not asked`;
}

/** Say what keeps the language model from being asked and what to do about it, or null where nothing does. */
export function troubleInWords({ state, seconds_left: seconds, reason }, now = Date.now()) {
  if (state === "closed") return null;
  if (state === "half_open") {
    return `The language model is tried again with one explanation at a time; the other predictions keep the computed one. It had been left alone: ${reason}.`;
  }
  return `The language model is left alone until ${end(seconds, now)}: ${reason}. Until then predictions keep the computed explanation.`;
}

/** Count what became of the explanations since the server started, and what is on its way. */
export function countsInWords({ finished, under_way: underWay, waiting }) {
  const { llm = 0, template = 0 } = finished.by_source;
  const parts = [`${count(llm)} AI-written`, `${count(template)} kept as computed`];
  if (underWay) parts.push(`${count(underWay)} being written`);
  if (waiting) parts.push(`${count(waiting)} waiting`);
  return parts.join(" · ");
}

function end(seconds, now) {
  const at = new Date(now + 1000 * seconds);
  return shortTime(at.toISOString(), at);
}
