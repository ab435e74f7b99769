"""The same code and data give the same model digest, whatever the CPU, the threads, the settings.

``pytest -s tests/integration/test_sameness.py`` prints the runs.
"""

import ast
import json
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from support import ROOT, TRAIN
from support.models import shuffled, write_jsonl

from pressbox.data.corpus import load_corpus
from pressbox.learning import training
from pressbox.learning.evaluation import evaluate

# OpenBLAS has a kernel for each kind of processor, and this variable chooses among those that the
# processor can run; NumPy's own loops likewise have a variant for each set of instructions.
BASELINE, AVX2, AVX512 = "Prescott", "Haswell", "SkylakeX"
# What OpenBLAS calls the kernel that it chooses for a Prescott.
REPORTED = {BASELINE: "Katmai"}
X86 = platform.machine() == "x86_64"
on_x86 = pytest.mark.skipif(not X86, reason="the kernels are those of x86_64")
OPTIONAL = sorted(name for name in __cpu_dispatch__ if __cpu_features__[name])

SCRIPT = """
import hashlib, json, os, sys
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info, threadpool_limits
from pressbox.learning import training
from pressbox.data.corpus import load_corpus

# The variable alone gives no more threads than there are processors.
threadpool_limits(int(os.environ["OPENBLAS_NUM_THREADS"]))
data = load_corpus(sys.argv[1])
training.DECIMALS = int(sys.argv[2])
vectorizer, estimator = eval(sys.argv[3]), eval(sys.argv[4])
if sys.argv[5] == "fit":
    model = training.fit(data.train, vectorizer, estimator)
    digest, certified = model.digest, model.certificate["certified"]
else:
    texts, labels = zip(*data.train)
    estimator.fit(vectorizer.fit_transform(texts), labels)
    digest, certified = hashlib.sha256(estimator.coef_.tobytes()).hexdigest(), None
blas = [entry for entry in threadpool_info() if entry["internal_api"] == "openblas"]
print(json.dumps({
    "digest": digest,
    "certified": certified,
    "data": data.digest,
    "kernels": sorted({entry["architecture"] for entry in blas}),
    "threads": sorted({entry["num_threads"] for entry in blas}),
    "numpy": sorted(name for name in __cpu_dispatch__ if __cpu_features__[name]),
}))
"""


def of_train_py(name):
    """The expression that the tests' train.py assigns to the name."""
    [found] = [
        ast.unparse(node.value)
        for node in ast.walk(ast.parse(TRAIN.read_text()))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
    ]
    return found


def train(source, settings=(), decimals=training.DECIMALS, estimator=None, way="fit"):
    """What the script prints, run with these environment variables and train.py's parameters."""
    chosen = [of_train_py("vectorizer"), estimator or of_train_py("estimator"), way]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, source, str(decimals), *chosen],
        cwd=ROOT,
        env={**os.environ, **dict(settings)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def settings(kernel=AVX2, threads=1, **others):
    chosen = {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads), **others}
    return {**chosen, "OPENBLAS_CORETYPE": kernel} if X86 else chosen


def kernels():
    """Three that this processor can run, as unlike each other as they come."""
    if "avx512f" in Path("/proc/cpuinfo").read_text().split():
        return [BASELINE, AVX2, AVX512]
    return [BASELINE, AVX2, "Nehalem"]


def design():
    """18 runs in which each level of each factor meets each level of each other factor.

    x and y take all pairs of three values, once with z = 0 and once with z = 1. With x, y and x + y
    modulo 3 any two factors of three levels take all pairs; x + 2 y, independent of these, is the
    fourth. Of the factors with two levels, z, x + z and y + z modulo 2 are independent of those.
    """
    for run in range(18):
        x, y, z = run % 3, run // 3 % 3, run // 9
        yield {
            "kernel": kernels()[x],
            "threads": (1, 2, 4)[y],
            "hash seed": ("0", "1", "4711")[(x + y) % 3],
            "numpy": ("any CPU", "this CPU", "this CPU")[(x + 2 * y) % 3],
            "rows": ("as they are", "shuffled")[z],
            "locale": ("C.UTF-8", "C")[(x + z) % 2],
            "time zone": ("UTC", "NPT-05:45")[(y + z) % 2],
        }


def left_out(run):
    return OPTIONAL if run["numpy"] == "any CPU" else []


def environment(run):
    others = {
        "PYTHONHASHSEED": run["hash seed"],
        "LC_ALL": run["locale"],
        "LANG": run["locale"],
        "TZ": run["time zone"],
        "NPY_DISABLE_CPU_FEATURES": " ".join(left_out(run)),
    }
    return settings(run["kernel"], run["threads"], **others)


def table(runs, results):
    """The runs and what each gave, as lines of text."""
    heads = [*runs[0], "model digest"]
    rows = [
        [*map(str, run.values()), result["digest"][:23]]
        for run, result in zip(runs, results, strict=True)
    ]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in [heads, *rows])
    return "\n".join(lines)


@pytest.fixture(scope="module")
def shuffled_newsroom(tmp_path_factory):
    lines = (ROOT / "corpus" / "newsroom.jsonl").read_text().splitlines()
    rows = shuffled([(row["text"], row["label"]) for row in map(json.loads, lines)])
    return str(write_jsonl(tmp_path_factory.mktemp("source") / "shuffled.jsonl", rows))


def test_in_the_design_each_pair_of_levels_occurs():
    runs = list(design())
    for one in runs[0]:
        for other in runs[0].keys() - {one}:
            levels = {run[one] for run in runs}, {run[other] for run in runs}
            pairs = {(run[one], run[other]) for run in runs}
            assert len(pairs) == len(levels[0]) * len(levels[1]), (one, other)


@pytest.mark.default("corpus/newsroom.jsonl")
def test_eighteen_unlike_runs_give_one_model_digest(shuffled_newsroom):
    runs = list(design())
    sources = [shuffled_newsroom if run["rows"] == "shuffled" else "newsroom" for run in runs]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(train, sources, map(environment, runs)))
    print("\n" + table(runs, results))
    assert len({result["digest"] for result in results}) == 1, table(runs, results)
    assert len({result["data"] for result in results}) == 1
    assert all(result["certified"] for result in results)
    for run, result in zip(runs, results, strict=True):
        assert result["threads"] == [run["threads"]]
        assert result["numpy"] == sorted(set(OPTIONAL) - set(left_out(run)))
        assert not X86 or result["kernels"] == [REPORTED.get(run["kernel"], run["kernel"])]


@pytest.mark.default("corpus/newsroom.jsonl")
@on_x86
@pytest.mark.parametrize(
    "other_way",
    [{"decimals": 15}, {"estimator": "LogisticRegression(C=30, max_iter=1000)", "way": "plain"}],
    ids=["without rounding", "scikit-learn's default"],
)
def test_else_the_kernels_give_different_models(other_way):
    results = [train("newsroom", settings(kernel), **other_way) for kernel in (BASELINE, AVX2)]
    assert results[0]["digest"] != results[1]["digest"]
    again = train("newsroom", settings(AVX2), **other_way)
    assert again["digest"] == results[1]["digest"]


def test_what_differs_is_seen():
    runs = list(design())
    results = [{"digest": f"sha256:{number}"} for number in range(18)]
    lines = table(runs, results).splitlines()
    assert len(lines) == 19
    assert lines[0].split("  ")[0] == "kernel"
    assert lines[-1].endswith("sha256:17")


@pytest.mark.default("corpus/newsroom.jsonl")
@pytest.mark.parametrize(
    "source", ["newsroom", pytest.param("newsgroups", marks=pytest.mark.real_data)]
)
def test_rounding_costs_nothing(source, request, monkeypatch):
    if source == "newsgroups":
        source = str(request.getfixturevalue("real_data"))
    data = load_corpus(source)
    texts = [text for text, _ in data.test]

    def fit(decimals):
        monkeypatch.setattr(training, "DECIMALS", decimals)
        classes = {kind.__name__: kind for kind in (TfidfVectorizer, LogisticRegression)}
        chosen = (eval(of_train_py(name), classes) for name in ("vectorizer", "estimator"))  # noqa: S307
        model = training.fit(data.train, *chosen)
        return model, evaluate(model, data.test)[0]["accuracy"]

    (rounded, accuracy), (exact, expected) = fit(training.DECIMALS), fit(15)
    assert abs(accuracy - expected) <= 0.001
    probabilities = np.sort(exact.predict_proba(texts), axis=1)
    tie = probabilities[:, -1] - probabilities[:, -2] < 2e-4
    assert tie.mean() <= 0.01
    same = rounded.predict(texts) == exact.predict(texts)
    assert same[~tie].all()
    assert abs(rounded.predict_proba(texts) - exact.predict_proba(texts)).max() < 1e-4
