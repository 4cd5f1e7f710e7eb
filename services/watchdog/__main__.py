"""The watchdog as a process."""

import sys

from services.watchdog.app import main

if __name__ == "__main__":
    sys.exit(main())
