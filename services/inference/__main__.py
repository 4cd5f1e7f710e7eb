"""python -m services.inference"""

from services.inference.app import build
from services.inference.settings import Settings
from shared.runtime.run import start

if __name__ == "__main__":
    start("inference", build, Settings())
