"""Who may use an app: accounts with their roles, kept with the sessions in one small file of each app."""
