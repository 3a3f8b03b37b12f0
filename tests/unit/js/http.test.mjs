import assert from "node:assert/strict";
import { test } from "node:test";
import { getJson, post, RequestError, whenSignedOut } from "../../../common/ui/http.js";

test("what is refused because nobody is signed in is asked again after the sign-in, once for each address", async () => {
  let [isSignedIn, asked, goOn] = [false, 0, null];
  globalThis.document = { querySelector: () => ({ content: "token" }) };
  globalThis.fetch = async () => {
    asked += 1;
    return isSignedIn ? Response.json({ is: "there" }) : Response.json({ error: { message: "Please sign in." } }, { status: 401 });
  };
  whenSignedOut(() => new Promise((resolve) => (goOn = resolve)));
  const answer = getJson("/api/history");
  await new Promise((resolve) => setImmediate(resolve));
  await assert.rejects(getJson("/api/history"), (error) => error instanceof RequestError && error.status === 401);
  await assert.rejects(post("/sign-in", { token: "wrong" }), { message: "Please sign in." });
  isSignedIn = true;
  goOn();
  assert.deepEqual(await answer, { is: "there" });
  assert.equal(asked, 4);
});
