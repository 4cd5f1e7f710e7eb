"""`python -m services.memory`"""

from services.memory.app import build
from services.memory.settings import Settings
from shared.runtime.run import run

if __name__ == "__main__":
    run(build(Settings()))
