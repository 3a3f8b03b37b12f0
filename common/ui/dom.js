/** Building and finding elements; text goes in as text only. */

import { fullTime, shortTime } from "./format.js";
import { levelInWords } from "./wording.js";

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** Create an element; `properties` are set as properties, those with a dash and `role` as attributes. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Return a button that does something. */
export function button(text, onClick, className = "link-button") {
  const made = element("button", { type: "button", className, textContent: text });
  made.addEventListener("click", onClick);
  return made;
}

/** Make these the children of a place, in this order; those that stay keep the focus. Return whether any moved. */
export function arrange(place, children) {
  const kept = new Set(children);
  for (const child of [...place.children]) if (!kept.has(child)) child.remove();
  const moved = children.filter((child, index) => {
    const there = place.children[index] ?? null;
    if (there !== child) place.insertBefore(child, there);
    return there !== child;
  });
  return moved.length > 0;
}

/** Return a drawing from the page's sprite; it is decoration, so the word stands beside it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** Return the first element of a copy of a `<template>`; `importNode` upgrades the custom elements in it. */
export function copyOf(templateId) {
  return document.importNode(byId(templateId).content, true).firstElementChild;
}

/** Return the element of a template copy that is marked `data-slot=name`. */
export const slot = (root, name) => root.querySelector(`[data-slot="${name}"]`);

/** Show a text in a slot, and hide the slot when there is none. */
export function fill(root, name, text) {
  const target = slot(root, name);
  target.textContent = text ?? "";
  target.hidden = text === null || text === undefined || text === "";
  return target;
}

/** Return the page data that the template wrote into `<script type="application/json">`. */
export const pageData = (id) => JSON.parse(byId(id).textContent);

/** Say a sentence to people who use a screen reader, without moving the focus. */
export function announce(sentence) {
  byId("announcer").textContent = sentence;
}

/** Return a `<time>` in the reader's locale, short, with the full time in its title. */
export function timeElement(iso) {
  return element("time", { dateTime: iso, textContent: shortTime(iso), title: fullTime(iso) });
}

/** Return the level as color, shape and word. */
export function levelBadge(level) {
  const badge = element("span", { className: "level" }, icon(level.toLowerCase()), levelInWords(level));
  badge.dataset.level = level;
  return badge;
}

/** Show how a connection is in its pill, and what that means, if anything, in its banner. */
export function showState(pill, banner, { tone, label, sentence }, ...more) {
  pill.dataset.tone = banner.dataset.tone = tone;
  pill.replaceChildren(icon(tone), element("span", { textContent: label }));
  banner.hidden = !sentence;
  banner.replaceChildren(...(sentence ? [icon("warning"), element("p", {}, sentence, ...more)] : []));
}

/** Say sentences in a banner; those that stand there already are left alone, so that they are announced once. */
export function showTrouble(banner, sentences) {
  banner.hidden = sentences.length === 0;
  if (banner.textContent === sentences.join("")) return;
  banner.replaceChildren(...(banner.hidden ? [] : [icon("warning"), ...sentences.map((sentence) => element("p", { textContent: sentence }))]));
}
