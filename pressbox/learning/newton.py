"""Bring a fitted logistic regression from near its optimum to it, and say how near it is then.

A solver stops somewhere within its tolerance; where, depends on the CPU's rounding. The L2 penalty
makes the problem strictly convex, so there is one optimum, and the gradient bounds the distance to
it. Newton's method goes on until doubles get no nearer.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, cg
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_sample_weight

from pressbox.console import doing

# Of Newton's method: how many steps at most, and how often one is halved that leads away.
MAX_NEWTON_STEPS, MAX_HALVINGS = 50, 30
# How far off a number is in units of the last digit: a logarithm or what else is not a sum, and,
# times the root of the number of terms, a sum. Errors that do not depend on each other add up as
# their squares do, and are reckoned with at so many standard deviations of that.
EPSILON = np.finfo(np.float64).eps
ULPS_PER_CALL = 8
STANDARD_DEVIATIONS = 8
# Where labels are so far apart that the loss is flat between them, the bound is only huge.
MIN_CURVATURE = 1e-100
# Texts that are looked at together.
TEXTS_AT_ONCE = 4096
# How short the gradient is, beside the numbers, where doubles get it no shorter, and where it is
# near enough to that for a step that does not even halve it to be the last.
GRADIENT_FLOOR, NEAR_FLOOR = 64 * EPSILON, 1e-9


@dataclass(frozen=True)
class Nearness:
    """How near a fit is to the one optimum of its problem, rounding errors included.

    gradient: the length of the gradient (of C times the summed loss plus half the squared
    coefficients). coefficients: array of the shape of ``coef_``, how far off each can be at most.
    intercepts: the same for each of them.
    """

    gradient: float
    coefficients: np.ndarray
    intercepts: float

    def divided(self, temperature: float) -> "Nearness":
        """The same of numbers that were divided by the temperature after the fit."""
        coefficients, intercepts = self.coefficients / temperature, self.intercepts / temperature
        return Nearness(self.gradient, coefficients, intercepts)


def polish(estimator: LogisticRegression, matrix: csr_array, labels: Sequence[str]) -> Nearness:
    """Move ``coef_`` and ``intercept_`` to the optimum, as near as doubles can be.

    matrix: sparse (n_texts, n_terms), float64. labels: (n_texts,). The estimator has an L2 penalty
    and was fitted on them. Its intercepts are centred: their sum is arbitrary. Raises nothing: a
    ``gradient`` that is not tiny says that the optimum was not found.
    """
    problem = _Problem(estimator, matrix, labels)
    with doing("going on to the optimum") as far:
        point = _descend(problem, problem.pack(estimator.coef_, estimator.intercept_), far)
    coefficients, intercepts = problem.unpack(point)
    if len(intercepts) > 1:
        intercepts = intercepts - intercepts.mean()
    estimator.coef_ = np.ascontiguousarray(coefficients.T)
    estimator.intercept_ = intercepts
    return problem.nearness(point)


def _descend(problem: "_Problem", point: np.ndarray, far: Callable[[str], None]) -> np.ndarray:
    gradient = problem.gradient(point)
    length = np.linalg.norm(gradient)
    for number in range(1, MAX_NEWTON_STEPS + 1):
        far(f"step {number}")
        size, before = np.linalg.norm(point), length
        if length <= GRADIENT_FLOOR * size:
            break
        # The nearer, the more exact a step has to be, for Newton's digits to double.
        left = max(min(0.1, length**0.5), 1e-4)
        step, _ = cg(problem.hessian(), -gradient, rtol=left, maxiter=1000)
        for _ in range(MAX_HALVINGS):
            gradient = problem.gradient(point + step)
            length = np.linalg.norm(gradient)
            if length < before or before < NEAR_FLOOR * size:
                break
            step = step / 2
        if length >= before:
            break
        point = point + step
        if before / 2 < length < NEAR_FLOOR * size:
            break
    return point


class _Problem:
    """The objective's derivatives at a point: the coefficients of each term, then the intercepts.

    Two classes have one column of them and a sigmoid, more have a column each and a softmax.
    """

    def __init__(
        self, estimator: LogisticRegression, matrix: csr_array, labels: Sequence[str]
    ) -> None:
        self._columns, self._terms = estimator.coef_.shape
        self._matrix = matrix
        # With one column the view is as fast, and does not take the memory again.
        self._transposed = matrix.T if self._columns == 1 else matrix.T.tocsr()
        self._intercepts = estimator.fit_intercept
        y_true = np.asarray(labels)[:, None] == estimator.classes_[None, :]
        self._y_true = y_true[:, -self._columns :].astype(np.float64)
        weights = compute_sample_weight(estimator.class_weight, labels)
        self._weights = (estimator.C * weights)[:, None]

    def pack(self, coefficients: np.ndarray, intercepts: np.ndarray) -> np.ndarray:
        return np.concatenate([coefficients.T.ravel(), intercepts])

    def unpack(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n_terms, n_columns) and (n_columns,)."""
        split = self._terms * self._columns
        return point[:split].reshape(self._terms, self._columns), point[split:]

    def _scores(self, point: np.ndarray) -> np.ndarray:
        coefficients, intercepts = self.unpack(point)
        return self._matrix @ coefficients + intercepts

    def _derivative(
        self, weighted: np.ndarray, constants: np.ndarray, point: np.ndarray
    ) -> np.ndarray:
        coefficients, _ = self.unpack(point)
        slopes = self._transposed @ weighted + coefficients
        if not self._intercepts:
            constants = np.zeros(self._columns)
        return np.concatenate([slopes.ravel(), constants])

    def gradient(self, point: np.ndarray) -> np.ndarray:
        scores = self._scores(point)
        # Nowhere is a small number the difference of large ones: 1 - p would lose digits.
        if self._columns == 1:
            sign = 1 - 2 * self._y_true
            self._probabilities, residuals = expit(scores), sign * expit(sign * scores)
        else:
            exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
            self._probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
            residuals = self._probabilities * (1 - self._y_true)
            residuals -= self._y_true * residuals.sum(axis=1, keepdims=True)
        self._weighted_residuals = self._weights * residuals
        # The sum of an intercept has a term for each text, and is as exact as those of words.
        constants = np.array([math.fsum(column) for column in self._weighted_residuals.T])
        return self._derivative(self._weighted_residuals, constants, point)

    def hessian(self) -> LinearOperator:
        """The second derivative where ``gradient`` was last asked for, as an operator."""
        probabilities = self._probabilities

        def times(direction: np.ndarray) -> np.ndarray:
            change = self._scores(direction)
            if self._columns == 1:
                change = probabilities * (1 - probabilities) * change
            else:
                mean = (probabilities * change).sum(axis=1, keepdims=True)
                change = probabilities * (change - mean)
            change *= self._weights
            product = self._derivative(change, change.sum(axis=0), direction)
            if self._columns > 1:
                # The one direction without curvature: all intercepts alike. Give it some.
                product[-self._columns :] += direction[-self._columns :].mean()
            return product

        size = self._columns * (self._terms + 1)
        return LinearOperator((size, size), matvec=times, dtype=np.float64)

    def _curvature(self) -> np.ndarray:
        return self._weights * self._probabilities * (1 - self._probabilities)

    def nearness(self, point: np.ndarray) -> Nearness:
        """How near the point is to the optimum.

        The second derivative is I + A for the coefficients, with A that of the summed loss. An
        error e of their gradient puts them off by e - A / (I + A) e, and row j of that matrix is
        at most half the root of A[j, j] long. The intercepts couple to them: eliminating them
        makes A smaller, and adds to e their own error, times the root of steep / flat.
        """
        gradient, constants = self.unpack(self.gradient(point))
        coefficients, intercepts = self.unpack(point)
        matrix, curvature = self._matrix, self._curvature()
        # First, as it takes as much memory for a moment as the squares do for longer.
        texts_with = np.bincount(matrix.indices, minlength=self._terms)[:, None]
        squares = csr_array((matrix.data**2, matrix.indices, matrix.indptr), shape=matrix.shape)
        spread, slopes = np.hsplit(
            squares.T @ np.hstack([self._weighted_residuals**2, curvature]), 2
        )
        slopes, spread = np.sqrt(slopes), np.sqrt(spread)
        steep, flat = self._steepest(squares), max(self._flattest(), MIN_CURVATURE)

        # What is the same wherever a term occurs: what is left of the gradient, the error of idf.
        left = abs(gradient) + ULPS_PER_CALL * EPSILON * abs(coefficients)
        left_constants = np.linalg.norm(self._weighted_residuals)
        left_constants *= STANDARD_DEVIATIONS * ULPS_PER_CALL * EPSILON
        left_constants += np.linalg.norm(constants)
        total = np.linalg.norm(left) + np.sqrt(steep / flat) * left_constants
        # What differs from one term to the next, and from one text to the next.
        terms = STANDARD_DEVIATIONS * EPSILON * (ULPS_PER_CALL + np.sqrt(texts_with)) * spread
        texts = STANDARD_DEVIATIONS * self._noise(squares, coefficients, intercepts)

        bounds = left + slopes / 2 * total + slopes / np.sqrt(flat) * left_constants
        bounds += terms + slopes / 2 * terms.max() + np.minimum(slopes, 0.5) * texts
        free = (1 + steep) / flat
        return Nearness(
            gradient=float(np.hypot(np.linalg.norm(gradient), np.linalg.norm(constants))),
            coefficients=bounds.T,
            intercepts=float(
                free * left_constants
                + np.sqrt(steep / flat) * (np.linalg.norm(left) + terms.max())
                + np.sqrt(free) * texts
                + STANDARD_DEVIATIONS * EPSILON * abs(intercepts).sum()
            ),
        )

    def _noise(self, squares: csr_array, coefficients: np.ndarray, intercepts: np.ndarray) -> float:
        """How far texts move the gradient, as a multiple of the root of A.

        Rounding moves the scores of a text, and stretches it as a whole.
        """
        widths = np.diff(squares.indptr)[:, None]
        relative = EPSILON * (ULPS_PER_CALL + np.sqrt(widths))
        scores = relative * np.sqrt(squares @ coefficients**2) + EPSILON * abs(intercepts)
        moved = self._most_curved() * scores.max(axis=1) ** 2
        residuals = abs(self._weighted_residuals / self._weights).max(axis=1)
        stretched = self._weights[:, 0] * residuals / (1 - residuals + EPSILON)
        stretched = stretched * relative[:, 0] ** 2
        return float(np.sqrt((moved + stretched).max()))

    def _flattest(self) -> float:
        """The least second derivative of the loss along centred intercepts."""
        if not self._intercepts:
            return np.inf
        if self._columns == 1:
            return self._curvature().sum()
        # It is the Laplacian of a graph in which all labels are joined, and bends at least as much
        # as one whose edges all weigh what the lightest does. No BLAS: a bound needs none.
        weighted = self._weights * self._probabilities
        starts = range(0, len(weighted), TEXTS_AT_ONCE)
        joined = sum(
            (
                np.einsum("ni,nj->ij", weighted[some], self._probabilities[some])
                for some in (slice(start, start + TEXTS_AT_ONCE) for start in starts)
            ),
            np.zeros((self._columns, self._columns)),
        )
        return self._columns * joined[~np.eye(self._columns, dtype=bool)].min()

    def _most_curved(self) -> np.ndarray:
        """At least the greatest second derivative of the loss of each text: (n_texts,)."""
        return self._curvature().max(axis=1) * (1 if self._columns == 1 else 2)

    def _steepest(self, squares: csr_array) -> float:
        """At least the greatest second derivative of the loss along coefficients."""
        return (squares.sum(axis=1) * self._most_curved()).sum()
