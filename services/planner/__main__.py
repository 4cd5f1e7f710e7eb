from services.planner.app import build
from services.planner.settings import Settings
from shared.runtime.run import run

if __name__ == "__main__":
    run(build(Settings()))
