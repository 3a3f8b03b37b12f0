/** The page's one Socket.IO connection; `follow.js` makes it, and makes it again. */

import { io } from "/vendor/socket.io-client/dist/socket.io.esm.min.js";

const PROTOCOL = 5;

export const socketTo = (namespace) =>
  io(namespace, {
    auth: { protocol: PROTOCOL },
    transports: ["websocket", "polling"],
    tryAllTransports: true,
    reconnection: false,
    autoConnect: false,
  });
