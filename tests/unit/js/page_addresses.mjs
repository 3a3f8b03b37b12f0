/** Lets a test load a module that imports from `/ui/`, as the pages' address of `common/ui/` is. */

import { register } from "node:module";

const UI = new URL("../../../common/ui/", import.meta.url);
const hook = `export const resolve = (name, context, next) => next(name.replace(/^\\/ui\\//, ${JSON.stringify(UI.href)}), context);`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
