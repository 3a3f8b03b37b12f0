/** Building, finding and filling elements; text goes in as text only. */

import { fullTime, shortTime } from "./format.js";
import { levelInWords } from "./wording.js";

export const byId = (id) => document.getElementById(id);

/** Create an element; `properties` are set as properties, those with a dash as attributes. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-")) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** Return a button that does something. */
export function button(text, onClick, className = "link-button") {
  const made = element("button", { type: "button", className }, text);
  made.addEventListener("click", onClick);
  return made;
}

/** Return the first element of a copy of a `<template>`; `importNode` upgrades the custom elements in it. */
export const copyOf = (templateId) => document.importNode(byId(templateId).content, true).firstElementChild;

/** Return a drawing from the page's sprite; it is decoration, so the word stands beside it. */
export function icon(name) {
  const made = copyOf("icon-template");
  made.firstElementChild.setAttribute("href", `#icon-${name}`);
  return made;
}

/** Show content in a place of its own: text, an element, or a list of them. A place that gets nothing is hidden. */
export function fill(place, ...content) {
  const parts = content.flat().filter((part) => part !== null && part !== undefined && part !== "");
  place.replaceChildren(...parts);
  place.hidden = parts.length === 0;
}

/** Return the element of a template copy that is marked `data-slot=name`. */
export const slot = (root, name) => root.querySelector(`[data-slot="${name}"]`);

/** Fill slots of a template copy: `contents` are by name. */
export function fillSlots(root, contents) {
  for (const [name, content] of Object.entries(contents)) fill(slot(root, name), content);
}

/** Show a sentence with a warning sign and what goes with it, or nothing where there is no sentence. */
export function warn(place, sentence, ...more) {
  fill(place, sentence ? [icon("warning"), element("span", {}, sentence), ...more] : []);
}

/** Set custom properties, by which a style sheet draws an element; return the element. */
export function setVariables(made, values) {
  for (const [name, value] of Object.entries(values)) made.style.setProperty(`--${name}`, value);
  return made;
}

/** Say a sentence to people who use a screen reader, without moving the focus. */
export const announce = (sentence) => (byId("announcer").textContent = sentence);

/** Return a `<time>` in the reader's locale, short or as another `text`, with the full time in its title. */
export const timeElement = (iso, text = shortTime(iso)) => element("time", { dateTime: iso, title: fullTime(iso) }, text);

/** Return the level as color, shape and word. */
export function levelBadge(level) {
  return element("span", { className: "level", "data-level": level }, icon(level.toLowerCase()), levelInWords(level));
}

/** Show a state in its pill, by color, sign and word. */
export function showPill(pill, { tone, label, sign = tone }) {
  pill.dataset.tone = tone;
  pill.replaceChildren(icon(sign), element("span", {}, label));
}

/** Show how a connection is in its pill, and what that means, if anything, in its banner. */
export function showState(pill, banner, state, ...more) {
  showPill(pill, state);
  banner.dataset.tone = state.tone;
  fill(banner, state.sentence ? [icon("warning"), element("p", {}, state.sentence, ...more)] : []);
}

/** Say sentences in a banner; those that stand there already are left alone, so that they are announced once. */
export function showTrouble(banner, sentences) {
  if (banner.textContent === sentences.join("")) return;
  fill(banner, sentences.length ? [icon("warning"), ...sentences.map((sentence) => element("p", {}, sentence))] : []);
}

/** Open a dialog; resolves to the value of the button that closed it, "" if that was done in another way. */
export function ask(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
  });
}

/** The elements of a list's items, kept as the list changes, and with them the focus and what is open in them. */
export class KeyedList {
  #place;
  #options;
  #kept = new Map(); // key -> {item, made}

  /** `keyOf(item)`; `make(item)` returns an element; `update(made, item)` shows in it an item that is new or another object. */
  constructor(place, options) {
    [this.#place, this.#options] = [place, options];
  }

  /** Return the element of a key that is shown. */
  get(key) {
    return this.#kept.get(key)?.made;
  }

  /** Show these items in this order; return whether any element is new or moved. */
  show(items) {
    this.#kept = new Map(items.map((item) => [this.#options.keyOf(item), this.#keep(item)]));
    const elements = [...this.#kept.values()].map(({ made }) => made);
    const staying = new Set(elements);
    for (const child of [...this.#place.children]) if (!staying.has(child)) child.remove();
    const moved = elements.filter((made, index) => {
      const there = this.#place.children[index] ?? null;
      if (there !== made) this.#place.insertBefore(made, there);
      return there !== made;
    });
    return moved.length > 0;
  }

  #keep(item) {
    const known = this.#kept.get(this.#options.keyOf(item));
    const made = known?.made ?? this.#options.make(item);
    if (known?.item !== item) this.#options.update(made, item);
    return { item, made };
  }
}
