"""Who may use a client app, and who did what there: ``python -m client.access CLIENT list|add|link|...``."""

import sys

from common.access.command import main
from config.settings import ClientSettings

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], ClientSettings))
