"""What the server and the client apps agree on, and what both web apps stand on."""
