"""The settings of every process, and the secrets that are generated where none is given."""
