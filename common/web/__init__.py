"""What both Flask apps share: concurrency, real-time link, sign-in, headers, health and logging."""
