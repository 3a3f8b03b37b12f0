"""Who did what: a trail that shows it when somebody changed it."""
