"""python -m services.writer"""

from services.writer.app import build
from services.writer.settings import Settings
from shared.runtime.run import run

if __name__ == "__main__":
    run(build(Settings()))
