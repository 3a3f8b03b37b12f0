import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { Follower } from "../../../common/ui/follow.js";
import { RequestError } from "../../../common/ui/http.js";

/** An app and its page: the socket's other side in the test's hands, time as well. */
class Desk {
  asked = [];
  applied = [];
  states = [];
  connects = 0;
  place = { log: "a", after: 10 };
  failure = null;
  #handlers = new Map();
  socket = {
    connected: false,
    on: (event, handle) => this.#handlers.set(event, handle),
    connect: () => (this.connects += 1),
    emit: (event, message) => this.asked.push(message),
    disconnect: () => this.socket.connected && this.ends("io client disconnect"),
  };
  follower = new Follower(this.socket, {
    load: async () => {
      if (this.failure) throw this.failure;
      return this.place;
    },
    apply: ({ entries }) => {
      if (entries.includes("fails")) throw new Error("cannot be shown");
      this.applied.push(...entries);
    },
    stateIs: (state) => this.states.push(state),
  });

  says(event, message) {
    return this.#handlers.get(event)(message);
  }

  connected() {
    this.socket.connected = true;
    this.says("connect");
  }

  ends(reason) {
    this.socket.connected = false;
    this.says("disconnect", reason);
  }

  answers(entries, { log = this.asked.at(-1).log, after = this.asked.at(-1).after } = {}) {
    this.says("changes", { log, after, next_after: after + entries.length, ticket: `t${this.asked.length}`, entries, totals: null, status: null });
  }
}

const loaded = () => new Promise((resolve) => setImmediate(resolve));
const pass = (ms) => mock.timers.tick(ms);

/** A page that is loaded, connected and has its first answer. */
async function following() {
  const desk = new Desk();
  desk.follower.start();
  await loaded();
  desk.connected();
  desk.answers([]);
  pass(50);
  return desk;
}

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  globalThis.location = { went: [], replace: (address) => location.went.push(address), reload: () => location.went.push("reload") };
});

test("it asks from where the page was loaded, applies the answer, and asks for what comes after with its ticket", async () => {
  const desk = new Desk();
  desk.follower.start();
  desk.connected();
  assert.deepEqual(desk.asked, [], "nothing is asked before the page is loaded");
  await loaded();
  assert.deepEqual(desk.asked, [{ log: "a", after: 10, ticket: null }]);
  desk.answers(["x", "y"]);
  assert.deepEqual([desk.applied, desk.states], [["x", "y"], ["up"]]);
  pass(9);
  assert.equal(desk.asked.length, 1);
  pass(1);
  assert.deepEqual(desk.asked.at(-1), { log: "a", after: 12, ticket: "t1" });
});

test("the more an answer held, the longer the next question waits, 50 ms at most", async () => {
  for (const [entries, pause] of [[0, 10], [5, 20], [12, 48], [400, 50]]) {
    const desk = await following();
    desk.answers(Array(entries).fill("x"));
    pass(pause - 1);
    assert.equal(desk.asked.length, 2, `${entries} entries`);
    pass(1);
    assert.equal(desk.asked.length, 3, `${entries} entries`);
  }
});

test("a new connection goes on from where the page is, without a ticket of the last one", async () => {
  const desk = await following();
  desk.answers(["x"]);
  desk.ends("transport close");
  pass(500);
  desk.connected();
  assert.equal(desk.connects, 2);
  assert.deepEqual(desk.asked.at(-1), { log: "a", after: 11, ticket: null });
  pass(50);
  assert.equal(desk.asked.length, 3, "the question that was due before is not asked as well");
});

test("what could not be applied is asked for again over a new connection", async () => {
  const desk = await following();
  assert.throws(() => desk.answers(["fails"]));
  pass(25_000);
  pass(500);
  desk.connected();
  assert.deepEqual(desk.asked.at(-1), { log: "a", after: 10, ticket: null });
});

test("a loss that is over at once is not shown, and one that lasts is, once", async () => {
  const desk = await following();
  desk.ends("transport close");
  pass(500);
  desk.connected();
  desk.answers([]);
  assert.deepEqual(desk.states, ["up", "up"]);
  desk.ends("transport close");
  for (let attempt = 0; attempt < 5; attempt += 1) {
    pass(5_000);
    desk.says("connect_error", new Error("websocket error"));
  }
  assert.deepEqual(desk.states, ["up", "up", "lost"]);
  assert.ok(desk.connects >= 6);
});

test("silence makes a new connection: after 3 s of the first question, after 25 s of a later one", async () => {
  const desk = await following();
  pass(24_999);
  assert.ok(desk.socket.connected);
  pass(1);
  assert.ok(!desk.socket.connected);
  pass(500);
  desk.connected();
  pass(2_999);
  assert.ok(desk.socket.connected);
  pass(1);
  assert.ok(!desk.socket.connected);
});

test("a connection that is never made is given up", async () => {
  const desk = new Desk();
  desk.follower.start();
  pass(10_000);
  pass(500);
  assert.equal(desk.connects, 2);
});

for (const [what, answer] of [
  ["of another log", { log: "b" }],
  ["about another place", { after: 0 }],
]) {
  test(`an answer ${what} is not applied: the page is loaded again, and goes on from there`, async () => {
    const desk = await following();
    desk.place = { log: "b", after: 3 };
    desk.answers(["foreign"], answer);
    await loaded();
    pass(50);
    assert.deepEqual(desk.applied, []);
    assert.deepEqual(desk.asked.at(-1), { log: "b", after: 3, ticket: "t2" });
  });
}

test("a page that is told to reload loads again, and goes on from there with the ticket", async () => {
  const desk = await following();
  desk.place = { log: "a", after: 5_000 };
  desk.says("reload", { log: "a", ticket: "r" });
  await loaded();
  pass(50);
  assert.deepEqual(desk.asked.at(-1), { log: "a", after: 5_000, ticket: "r" });
});

test("loading that fails is told, and tried again until it succeeds", async () => {
  const desk = new Desk();
  desk.failure = new RequestError("Out of order.", { status: 503 });
  desk.follower.start();
  desk.connected();
  await loaded();
  assert.deepEqual([desk.states, desk.asked], [["failed"], []]);
  desk.failure = null;
  pass(5_000);
  await loaded();
  desk.answers([]);
  assert.deepEqual(desk.states, ["failed", "up"]);
});

test("who is no longer signed in goes to the sign-in, however that is said", async () => {
  const ways = [
    (desk) => desk.says("closing", { reason: { code: "not_signed_in" } }),
    (desk) => desk.says("connect_error", Object.assign(new Error("refused"), { data: { code: "not_signed_in" } })),
    (desk) => desk.says("connect_error", Object.assign(new Error("xhr poll error"), { description: 401 })),
    async (desk) => {
      desk.failure = new RequestError("Please sign in.", { status: 401 });
      desk.says("reload", { ticket: "r" });
      await loaded();
    },
  ];
  for (const [index, leave] of ways.entries()) {
    const desk = await following();
    await leave(desk);
    pass(3_000);
    assert.equal(location.went.length, index + 1);
  }
  assert.deepEqual(new Set(location.went), new Set(["/sign-in"]));
});

test("an app that speaks another protocol has the page reload itself", async () => {
  const desk = await following();
  desk.says("connect_error", Object.assign(new Error("refused"), { data: { code: "unsupported_protocol" } }));
  pass(3_000);
  assert.deepEqual(location.went, ["reload"]);
});

test("any other reason to close has the page reconnect, after pauses that grow", async () => {
  const desk = await following();
  desk.says("closing", { reason: { code: "shutting_down" } });
  assert.ok(!desk.socket.connected);
  pass(500);
  assert.equal(desk.connects, 2);
  for (let attempt = 0; attempt < 6; attempt += 1) {
    desk.says("connect_error", new Error("websocket error"));
    pass(5_000);
  }
  desk.says("connect_error", new Error("websocket error"));
  pass(2_499);
  assert.equal(desk.connects, 8);
});
