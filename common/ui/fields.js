/** The 13 field descriptions that the page was served with, by wire name and in the order of every form. */

import { byId } from "./dom.js";

export const FIELDS = new Map(JSON.parse(byId("field-descriptions").textContent).map((field) => [field.name, field]));
