"""Models as special_k sees them: plain arrays, labels and parameters, and what they predict.

No attribute is a pickle. special_k stores each under its own name, as JSON or .npy, and the
scikit-learn objects are built anew from them, so that a model outlives scikit-learn's releases.
Importing this module registers the ``npy`` serializer, without which special_k cannot read it.
"""

import json
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, ClassVar, cast

import numpy as np

from pressbox import payload
from pressbox.data.tables import listed
from pressbox.errors import UsageError, visible
from pressbox.payload import payload_digest
from pressbox.special_k import special_k

REGISTRY = special_k.REGISTRY
ModelValidationError = special_k.exceptions.ModelValidationError

# The parameters of a TfidfVectorizer that a model keeps.
VECTORIZER_PARAMETERS = {
    "analyzer",
    "binary",
    "lowercase",
    "max_df",
    "max_features",
    "min_df",
    "ngram_range",
    "norm",
    "smooth_idf",
    "stop_words",
    "strip_accents",
    "sublinear_tf",
    "token_pattern",
    "use_idf",
}
# Of words or characters, as many in a row are a term at most.
MAX_NGRAM_LENGTH = 20
# Characters of all n-grams of all probes: looked at within seconds, and in bearable memory.
MAX_PROBE_CHARACTERS = 200_000_000
# What nobody has tried out may never end. The bytes come on top of what Python itself takes.
PROBE_TIMEOUT_S, PROBE_MEMORY_BYTES = 5, 1 << 30
TRIAL = f"""
import json, re, resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({PROBE_MEMORY_BYTES}, {PROBE_MEMORY_BYTES}))
pattern, texts = json.load(sys.stdin)
for text in texts:
    re.findall(pattern, text)
"""
# No number of a model is larger: the product of any three is still one.
MAX_NUMBER = 1e100
# Probabilities of a model that is intact agree with those it was sealed with to this many digits.
PROBE_DIGITS = 6


class NpyIO(special_k.serializers.base.BaseIO):
    """A numeric array in NumPy's .npy format; object arrays, being pickles, are refused."""

    @staticmethod
    def _serialize_to_stream(item, stream):
        stream.write(payload.written(item))

    @staticmethod
    def _deserialize_from_stream(stream):
        return np.array(payload.read(stream.read()))


if "npy" not in REGISTRY.available_serializers:
    REGISTRY.register_serializer("npy", NpyIO)


def checked(texts: Iterable[str]) -> list[str]:
    """The texts, once and for all. UsageError for what is not a string, or for one string alone."""
    if isinstance(texts, str):
        raise UsageError("one text was given, not a list of texts", "give [text]")
    texts = list(texts)
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str):
            raise UsageError(
                f"text {number} of {len(texts)} is {text!r:.60}, not a string",
                "omit it, or give '' for a text that is missing",
            )
    return texts


class Classifier(special_k.SerializableModel):
    """What every model is: labels, probabilities, probes to check itself with, and a statement.

    A class of your own, in a module of ``pressbox/own``, lists its attributes in ``ATTRIBUTES``
    (name: ``"npy"`` for a numeric array, ``"json"`` for what JSON has) and defines
    ``predict_proba(texts)``, the probability of each label in the order of ``labels``, an array
    (n_texts, n_classes); docs/your-own-model.md shows one.

    parameters: JSON object: ``labels``, and ``threshold``, the least probability that is sure.
    probes: JSON list of {text, probabilities}, recomputed by ``validate_model``.
    statement: JSON object, where the model comes from (see provenance.py); no part of the payload.
    facts: of a model that was opened, the ``Facts`` that are known of it; else None.
    """

    ATTRIBUTES: ClassVar[dict[str, str]] = {}
    COMMON: ClassVar[dict[str, str]] = {"parameters": "json", "probes": "json", "statement": "json"}

    def __init__(self, parameters: dict, probes=()):
        super().__init__()
        self.parameters = parameters
        self.probes = list(probes)
        self.statement = {}
        self.facts = None

    def __repr__(self) -> str:
        known = vars(self).get("facts")
        name = f" {known.name!r}" if known else ""
        return visible(f"<{type(self).__name__}{name}: {'; '.join(self._told())}>")

    def _told(self) -> Iterator[str]:
        """What it is, in words. Whatever is missing, it is not told."""
        known, parameters = vars(self).get("facts"), vars(self).get("parameters")
        if isinstance(parameters, dict):
            labels = parameters.get("labels", [])
            yield f"{len(labels)} labels ({listed(labels)})"
            yield f"sure from {parameters.get('threshold', 0)} on"
        if not known:
            yield "not signed"
        elif known.signer.demo:
            yield "signed with the published demo key, as anybody could"
        else:
            yield f"signed by {known.signer.user_id} ({known.signer.fingerprint})"
        if known:
            yield f"sealed at {known.sealed_at}"

    @classmethod
    def stored(cls) -> dict[str, tuple[str, str]]:
        """The attributes that are stored, each with its serializer and the name of its file."""
        attributes = {**cls.ATTRIBUTES, **cls.COMMON}
        return {name: (kind, f"{name}.{kind}") for name, kind in attributes.items()}

    @property
    def custom_serialization(self):
        return self.stored()

    @property
    def labels(self) -> list[str]:
        return self.parameters["labels"]

    @property
    def threshold(self) -> float:
        return self.parameters.get("threshold", 0.0)

    def predict(self, texts) -> np.ndarray:
        """The likeliest label of each text: (n_texts,) of str."""
        return self.decide(texts)[0]

    def decide(self, texts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each text the likeliest label (str), its probability, and whether that is sure."""
        texts = checked(texts)
        if not texts:
            return np.empty(0, str), np.empty(0), np.empty(0, bool)
        probabilities = self.predict_proba(texts)
        likeliest = probabilities.max(axis=1)
        labels = np.array(self.labels)[probabilities.argmax(axis=1)]
        return labels, likeliest, likeliest >= self.threshold

    def probe_with(self, texts: list[str]) -> None:
        """Keep what the model makes of these texts, to validate it with when it is opened."""
        rounded = np.round(self._probed(texts), PROBE_DIGITS) + 0.0
        self.probes = [
            {"text": text, "probabilities": row.tolist()}
            for text, row in zip(texts, rounded, strict=True)
        ]

    def _probed(self, texts: list[str]) -> np.ndarray:
        with warnings.catch_warnings():
            # Of what scikit-learn warns here, it warned in the training.
            warnings.simplefilter("ignore")
            return self.predict_proba(texts)

    def validate_model(self):
        """Raise ModelValidationError unless the probes come out as when the model was sealed."""
        if not self.probes:
            raise ModelValidationError("the model has no probes to be validated with")
        labels, threshold = self.labels, self.threshold
        if not labels or len(set(labels)) < len(labels) or type(threshold) not in (int, float):
            raise ModelValidationError("the model's labels or threshold are not valid")
        texts = [probe["text"] for probe in self.probes]
        if not all(isinstance(text, str) for text in texts):
            raise ModelValidationError("the model's probes are not texts")
        expected = np.array([probe["probabilities"] for probe in self.probes], np.float64)
        found = self._probed(texts)
        if found.shape != expected.shape or expected.shape[1:] != (len(self.labels),):
            raise ModelValidationError("the model's labels do not match its probabilities")
        if not np.allclose(found, expected, rtol=0, atol=10.0**-PROBE_DIGITS):
            raise ModelValidationError("the model does not predict what it did when it was sealed")

    def __getstate__(self):
        # Only special_k's placeholders are pickled, never what was built from the attributes.
        return {name: vars(self)[name] for name in self.custom_serialization}

    def payload(self) -> dict[str, bytes]:
        """The files that make up the model's behaviour, as special_k stores them, by name."""
        files = {}
        for attribute, (serializer, name) in self.custom_serialization.items():
            if attribute != "statement":
                io = REGISTRY.get_serializer_by_name(serializer)
                stream = io.to_verifiable_stream(getattr(self, attribute))[0]
                stream.seek(0)
                files[name] = stream.read()
        return files

    @property
    def digest(self) -> str:
        """The model digest: ``sha256:<hex>`` over the payload."""
        return payload_digest(self.payload())


class SportClassifier(Classifier):
    """A logistic regression over tf-idf: says which label a text has.

    vocabulary: list of n_terms strings, in the order of the columns.
    idf: float64 array (n_terms,), the weight of each term; ones, where use_idf is false.
    coefficients: float64 array (n_classes, n_terms), or (1, n_terms) for two classes.
    intercepts: float64 array (n_classes,) or (1,).
    parameters: also what the ``vectorizer`` was made with.
    """

    ATTRIBUTES: ClassVar[dict[str, str]] = {
        "vocabulary": "json",
        "idf": "npy",
        "coefficients": "npy",
        "intercepts": "npy",
    }

    def __init__(self, vocabulary, idf, coefficients, intercepts, parameters, probes=()):
        super().__init__(parameters, probes)
        self.vocabulary = vocabulary
        self.idf = idf
        self.coefficients = coefficients
        self.intercepts = intercepts

    def _told(self) -> Iterator[str]:
        if isinstance(terms := vars(self).get("vocabulary"), list):
            yield f"{len(terms)} terms"
        yield from super()._told()

    @cached_property
    def _vectorizer(self):
        from sklearn.feature_extraction.text import TfidfVectorizer

        parameters = dict(self.parameters["vectorizer"])
        if not parameters.keys() <= VECTORIZER_PARAMETERS:
            unknown = sorted(parameters.keys() - VECTORIZER_PARAMETERS)
            raise ValueError(f"the vectorizer has unknown parameters: {unknown}")
        if "ngram_range" in parameters:
            least, most = parameters["ngram_range"]
            if not 0 <= least <= most <= MAX_NGRAM_LENGTH:
                raise ValueError(f"n-grams of {least} to {most} are not supported")
            parameters["ngram_range"] = (least, most)
        # Where it is not used, idf is stored as ones.
        parameters["use_idf"] = True
        vectorizer = TfidfVectorizer(**parameters, vocabulary=self.vocabulary)
        vectorizer.idf_ = self.idf
        return vectorizer

    def predict_proba(self, texts) -> np.ndarray:
        """The probability of each label, in the order of ``labels``: (n_texts, n_classes)."""
        texts = checked(texts)
        if not texts:
            return np.empty((0, len(self.labels)))
        # special_k has no types, so type checkers take the cached property for its descriptor.
        matrix = cast(Any, self._vectorizer).transform(texts)
        # SciPy would copy all coefficients for the product; of these terms it needs few.
        used = np.unique(matrix.indices)
        scores = matrix[:, used] @ self.coefficients[:, used].T + self.intercepts
        if len(self.labels) == 2:
            scores = np.hstack([np.zeros_like(scores), scores])
        # Softmax; two classes with one row of coefficients are the same with a row of zeros.
        exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    def validate_model(self):
        """Raise ModelValidationError unless shapes fit and the probes come out as when sealed."""
        terms, rows = len(self.vocabulary), len(self.intercepts)
        classes = len(self.labels)
        if (
            self.idf.shape != (terms,)
            or self.coefficients.shape != (rows, terms)
            or rows != (1 if classes == 2 else classes)
        ):
            raise ModelValidationError("the model's arrays do not match each other")
        for array in (self.idf, self.coefficients, self.intercepts):
            if array.dtype != np.float64 or not (abs(array) <= MAX_NUMBER).all():
                raise ModelValidationError(
                    "the model's arrays are not float64, or hold huge numbers"
                )
        if not isinstance(self.vocabulary, list) or set(map(type, self.vocabulary)) != {str}:
            raise ModelValidationError("the model's vocabulary is not a list of strings")
        self._try_out()
        super().validate_model()

    def _try_out(self):
        """Raise ModelValidationError if the probes would take more than bearable time or room."""
        vectorizer = cast(Any, self._vectorizer)
        texts = [vectorizer.build_preprocessor()(probe["text"]) for probe in self.probes]
        if sum(map(len, texts)) * vectorizer.ngram_range[1] ** 2 > MAX_PROBE_CHARACTERS:
            raise ModelValidationError("the model's probes are too long")
        if vectorizer.analyzer != "word" or vectorizer.token_pattern == _usual_pattern():
            return
        # The expression is somebody's, and a bad one may never end on the shortest text. It is
        # applied to the stop words, too.
        texts += vectorizer.get_stop_words() or ()
        command = [sys.executable, "-I", "-S", "-c", TRIAL]
        asked = json.dumps([vectorizer.token_pattern, texts]).encode()
        try:
            tried = subprocess.run(
                command, input=asked, capture_output=True, timeout=PROBE_TIMEOUT_S
            )
        except subprocess.TimeoutExpired:
            tried = None
        if tried is None or tried.returncode:
            raise ModelValidationError("the model's token_pattern takes too long, or is not valid")


def _usual_pattern() -> str:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer().token_pattern
