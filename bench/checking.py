"""Say how many seconds the check of the environment takes, Python's start left out.

Runs inside the image: checking.py [--deep].
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from pressbox.environment import drift


def main():
    start = time.perf_counter()
    drift.current(deep="--deep" in sys.argv)
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
