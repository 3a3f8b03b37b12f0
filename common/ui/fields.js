/** The 13 field descriptions that the page was served with. */

import { pageData } from "./dom.js";

/** Return the descriptions by wire name, in the order of every form. */
export const readFields = () => new Map(pageData("field-descriptions").map((field) => [field.name, field]));
