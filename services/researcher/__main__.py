"""python -m services.researcher"""

from services.researcher.app import build
from services.researcher.settings import Settings
from shared.runtime.run import run

if __name__ == "__main__":
    run(build(Settings()))
