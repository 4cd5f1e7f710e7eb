"""`python -m tests.chaos --kills 30 --goals 300`"""

import sys

from tests.chaos.options import parse
from tests.chaos.run import main

sys.exit(main(parse()))
