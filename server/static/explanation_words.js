/** Sentences about the language model for operators: whether it is asked, what to do about it, what became of it. */

import { clockTime, count } from "/ui/format.js";

/** Say in a line whether the language model is asked: the state of its circuit, `until` when it is open. */
export function circuitInWords({ state, until }) {
  if (state === "closed") return "Circuit closed: asked for each prediction";
  if (state === "half_open") return "Circuit half-open: tried again with one explanation at a time";
  return `Circuit open until ${clockTime(until)}: not asked`;
}

/** Say what keeps the language model from being asked and what to do about it, or null where nothing does. */
export function troubleInWords({ state, reason, until }) {
  if (state === "closed") return null;
  if (state === "half_open") {
    return `AI explanations are being tried again, one at a time; the other predictions keep the computed one. They were paused: ${reason}.`;
  }
  return `AI explanations are paused until ${clockTime(until)}: ${reason}. Until then predictions keep the computed explanation.`;
}

/** Count what became of the explanations since the server started, and what is on its way. */
export function countsInWords({ finished, under_way: underWay, waiting }) {
  const { llm = 0, template = 0 } = finished.by_source;
  const parts = [`${count(llm)} AI-written`, `${count(template)} kept as computed`];
  if (underWay) parts.push(`${count(underWay)} being written`);
  if (waiting) parts.push(`${count(waiting)} waiting`);
  return parts.join(" · ");
}
