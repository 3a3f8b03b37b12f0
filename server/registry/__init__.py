"""The versions of the model on disk, and the one in use."""
