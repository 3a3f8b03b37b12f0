"""Real processes under load while a seeded schedule breaks them and their links, and a checker of what all saw."""
