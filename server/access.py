"""Who may use the server, and who did what there: ``python -m server.access list|add|link|password|revoke|...``."""

import sys

from common.access.command import main
from config.settings import ServerSettings
from server.store.access import access_store

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], ServerSettings, access_store))
