"""Engine.IO over long polling, by hand."""

POLLING = "/socket.io/?EIO=4&transport=polling"
