"""The door, followers and serving, tried with an app of their own: a log in memory and one namespace each."""
