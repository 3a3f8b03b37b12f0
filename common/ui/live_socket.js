/** One standing Socket.IO connection that comes back by itself and says how it is. */

import { io } from "/vendor/socket.io-client/dist/socket.io.esm.min.js";
import { getJson, toSignIn } from "./http.js";

const RETRY_MS = 2_000;
const NOT_SIGNED_IN = "not_signed_in";

/**
 * Connect to a namespace.
 *
 * `onState` gets "up" after every (re)connection and "lost" when the connection ends; `probe` is an address that
 * answers 401 when the session is over, asked when the app ends the connection.
 */
export function connect(namespace, { probe, onState, on }) {
  const socket = io(namespace, {
    transports: ["websocket", "polling"],
    tryAllTransports: true,
    reconnectionDelay: 500,
    reconnectionDelayMax: 5_000,
    autoConnect: false,
  });
  for (const [event, handle] of Object.entries(on)) socket.on(event, handle);
  socket.on("connect", () => onState("up"));
  const lost = () => {
    onState("lost");
    if (!socket.active) retry(socket, probe);
  };
  socket.on("disconnect", lost);
  socket.on("connect_error", ({ data }) => (data?.code === NOT_SIGNED_IN ? toSignIn() : lost()));
  socket.connect();
  return socket;
}

/** When the app ends or refuses a connection Socket.IO gives up: find out whether the session is over, or try again later. */
async function retry(socket, probe) {
  try {
    await getJson(probe);
  } catch (failure) {
    if (failure.status === 401) return toSignIn();
  }
  setTimeout(() => socket.connect(), RETRY_MS);
}
