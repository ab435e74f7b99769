"""Say how many texts a second `pressbox predict` answers, its start included.

Runs inside the image: predicting.py MODEL.
"""

import itertools
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from pressbox.data.corpus import load_corpus

TEXTS = 10_000


def main():
    texts = itertools.cycle(" ".join(text.split()) for text, _ in load_corpus().train)
    lines = "\n".join(itertools.islice(texts, TEXTS)).encode()
    command = [sys.executable, "-m", "pressbox", "predict", sys.argv[1]]
    start = time.perf_counter()
    answers = subprocess.run(command, input=lines, capture_output=True, check=True).stdout
    if answers.count(b"\n") != TEXTS:
        sys.exit("not every text was answered")
    print(TEXTS / (time.perf_counter() - start))


if __name__ == "__main__":
    main()
