"""Let libFuzzer try, by coverage, what the parsers make of bytes: NotTrusted, and nothing else.

usage: fuzz_opening.py [-max_total_time=600] [libFuzzer's other options]

The first byte of an input chooses the parser. Ends with the number of inputs that were tried; an
input that brought out anything else is written to /tmp/crash-… and the exit status is not 0.
"""

import sys
import tempfile
from pathlib import Path

import atheris

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

READING = [f"pressbox.sealing.{name}" for name in ("armour", "container", "metadata", "pickles")]
with atheris.instrument_imports(
    include=["json", "pickletools", "pressbox.provenance.statement", *READING]
):
    import json  # noqa: F401
    import pickletools  # noqa: F401


from support.hostile import FUZZED, fuzz  # noqa: E402 - after what it uses was instrumented

PARSERS = list(FUZZED.values())


def one_input(content):
    if content:
        parse, _ = PARSERS[content[0] % len(PARSERS)]
        fuzz(parse, content[1:])


def main():
    seeds = Path(tempfile.mkdtemp())
    for number, (_, original) in enumerate(PARSERS):
        (seeds / str(number)).write_bytes(bytes([number]) + original())
    options = ["-max_total_time=600", "-max_len=24000", "-artifact_prefix=/tmp/", "-timeout=10"]
    atheris.Setup([sys.argv[0], str(seeds), *options, *sys.argv[1:]], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
