"""Seal and open, beside special_k's own save and load: a line for each, name, value and unit.

Runs inside the image: opening.py MODEL [--large]. The times leave the imports out.
"""

import copy
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import special_k

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from pressbox.sealing import tarball
from pressbox.trust import gnupg, signing_key

warnings.simplefilter("ignore")
os.environ["SERIALIZATION_TRUSTED_KEYS_DIR"] = str(gnupg.GNUPG)
LABELS, TERMS = 128, 98_304  # float64: 96 MiB of coefficients


def row(name, value, unit="s"):
    print(f"{name}\t{value:.2f}\t{unit}", flush=True)


def median(runs, work):
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def save(model, path):
    """What special_k's users do."""
    key = signing_key.demo_key()
    with gnupg.signing_home(key) as (home, fingerprint):
        special_k.save_model_to_tarball(copy.copy(model), path, home, fingerprint, key.passphrase)


def compare(model, path, runs, kind):
    row(f"seal, {kind}", median(runs, lambda: tarball.seal(model, path, signing_key.demo_key())))
    row(f"special_k's save, {kind}", median(runs, lambda: save(model, path.with_suffix(".sk"))))
    row(f"open, {kind}", median(runs, lambda: tarball.open_model(path)))
    row(f"special_k's load, {kind}", median(runs, lambda: special_k.load_model_from_tarball(path)))


def large_model(model):
    """The same kind of model, with random numbers: they do not compress."""
    random = np.random.default_rng(0)
    large = copy.copy(model)
    large.vocabulary = [f"term{i}" for i in range(TERMS)]
    large.idf = np.ones(TERMS)
    large.coefficients = random.standard_normal((LABELS, TERMS))
    large.intercepts = np.zeros(LABELS)
    large.parameters = {**model.parameters, "labels": [f"label{i}" for i in range(LABELS)]}
    large.probes = [{"text": "", "probabilities": [1 / LABELS] * LABELS}]
    large.statement = copy.deepcopy(model.statement)
    algorithm, digest = large.digest.split(":")
    large.statement["subject"][0]["digest"] = {algorithm: digest}
    return large


def memory(work, path):
    """How much memory, in bytes, the work takes at its peak, over what its imports take."""
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    child = context.Process(target=_peak, args=(work, path, queue))
    child.start()
    child.join()
    return queue.get()


def _peak(work, path, queue):
    # The work's own imports, which come late.
    import sklearn.feature_extraction.text  # noqa: F401

    import pressbox.classifier  # noqa: F401

    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what it is now
    kept = work(path)
    queue.put(_status("VmHWM") - before)
    del kept


def _status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(field))


def main():
    model = tarball.open_model(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bench.tar.gz")
        compare(model, path, 5, "default model")
        if "--large" in sys.argv:
            compare(large_model(model), path, 1, "96 MiB")
            size = path.stat().st_size
            for name, work in (("open", tarball.open_model), ("verify", tarball.verify)):
                row(f"memory of {name}, 96 MiB", memory(work, path) / size, "x the file")


if __name__ == "__main__":
    main()
