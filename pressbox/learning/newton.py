"""Bring a fitted logistic regression from near its optimum to it, and say how near it is then.

A solver stops somewhere within its tolerance; where, depends on the CPU's rounding. The L2 penalty
makes the problem strictly convex, so there is one optimum, and the gradient bounds the distance to
it. Newton's method goes on until doubles get no nearer.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, cg
from scipy.special import expit
from sklearn.utils.class_weight import compute_sample_weight

# Of Newton's method: how many steps at most, and how often one is halved that leads away.
STEPS, HALVINGS = 50, 30
# How far off a number is in units of the last digit: a logarithm or what else is not a sum, and,
# times the root of the number of terms, a sum. Errors that do not depend on each other add up as
# their squares do; SAFETY standard deviations of that are what is reckoned with.
EPSILON = np.finfo(np.float64).eps
SINGLE = 8
SAFETY = 8
# Where labels are so far apart that the loss is flat between them, the bound is only huge.
FLATTEST = 1e-100
# Texts that are looked at together.
SLICE = 4096
# How short the gradient is, beside the numbers, where doubles get it no shorter, and where it is
# near enough to that for a step that does not even halve it to be the last.
SHORTEST, NEAR = 64 * EPSILON, 1e-9


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

    def divided(self, degree: float) -> "Nearness":
        """The same of numbers that were divided by ``degree`` after the fit."""
        return Nearness(self.gradient, self.coefficients / degree, self.intercepts / degree)


def polish(estimator, matrix, labels) -> Nearness:
    """Move ``coef_`` and ``intercept_`` to the optimum, as near as doubles can be.

    matrix: sparse (n_texts, n_terms). labels: (n_texts,). The estimator is a LogisticRegression
    with an L2 penalty, fitted on them. Its intercepts are centred: their sum is arbitrary.
    """
    problem = _Problem(estimator, matrix, labels)
    point = _descend(problem, problem.pack(estimator.coef_, estimator.intercept_))
    coefficients, intercepts = problem.unpack(point)
    if len(intercepts) > 1:
        intercepts = intercepts - intercepts.mean()
    estimator.coef_ = np.ascontiguousarray(coefficients.T)
    estimator.intercept_ = intercepts
    return problem.nearness(point)


def _descend(problem, point):
    gradient = problem.gradient(point)
    length = np.linalg.norm(gradient)
    for _ in range(STEPS):
        size, before = np.linalg.norm(point), length
        if length <= SHORTEST * size:
            break
        # The nearer, the more exact a step has to be, for Newton's digits to double.
        left = max(min(0.1, length**0.5), 1e-4)
        step, _ = cg(problem.hessian(), -gradient, rtol=left, maxiter=1000)
        for _ in range(HALVINGS):
            gradient = problem.gradient(point + step)
            length = np.linalg.norm(gradient)
            if length < before or before < NEAR * size:
                break
            step = step / 2
        if length >= before:
            break
        point = point + step
        if before / 2 < length < NEAR * size:
            break
    return point


class _Problem:
    """The objective's derivatives at a point: the coefficients of each term, then the intercepts.

    Two classes have one column of them and a sigmoid, more have a column each and a softmax.
    """

    def __init__(self, estimator, matrix, labels):
        self._columns, self._terms = estimator.coef_.shape
        self._matrix = matrix
        # With one column the view is as fast, and does not take the memory again.
        self._transposed = matrix.T if self._columns == 1 else matrix.T.tocsr()
        self._intercepts = estimator.fit_intercept
        truth = np.asarray(labels)[:, None] == estimator.classes_[None, :]
        self._truth = truth[:, -self._columns :].astype(np.float64)
        weights = compute_sample_weight(estimator.class_weight, labels)
        self._weights = (estimator.C * weights)[:, None]

    def pack(self, coefficients, intercepts):
        return np.concatenate([coefficients.T.ravel(), intercepts])

    def unpack(self, point):
        """(n_terms, n_columns) and (n_columns,)."""
        split = self._terms * self._columns
        return point[:split].reshape(self._terms, self._columns), point[split:]

    def _scores(self, point):
        coefficients, intercepts = self.unpack(point)
        return self._matrix @ coefficients + intercepts

    def _derivative(self, residuals, constants, point):
        coefficients, _ = self.unpack(point)
        slopes = self._transposed @ residuals + coefficients
        if not self._intercepts:
            constants = np.zeros(self._columns)
        return np.concatenate([slopes.ravel(), constants])

    def gradient(self, point):
        scores = self._scores(point)
        # Nowhere is a small number the difference of large ones: 1 - p would lose digits.
        if self._columns == 1:
            sign = 1 - 2 * self._truth
            self._chances, misses = expit(scores), sign * expit(sign * scores)
        else:
            odds = np.exp(scores - scores.max(axis=1, keepdims=True))
            self._chances = odds / odds.sum(axis=1, keepdims=True)
            misses = self._chances * (1 - self._truth)
            misses -= self._truth * misses.sum(axis=1, keepdims=True)
        self._residuals = self._weights * misses
        # The sum of an intercept has a term for each text, and is as exact as those of words.
        constants = [math.fsum(column) for column in self._residuals.T]
        return self._derivative(self._residuals, constants, point)

    def hessian(self):
        """The second derivative where ``gradient`` was last asked for, as an operator."""
        chances = self._chances

        def times(direction):
            change = self._scores(direction)
            if self._columns == 1:
                change = chances * (1 - chances) * change
            else:
                change = chances * (change - (chances * change).sum(axis=1, keepdims=True))
            change *= self._weights
            product = self._derivative(change, change.sum(axis=0), direction)
            if self._columns > 1:
                # The one direction without curvature: all intercepts alike. Give it some.
                product[-self._columns :] += direction[-self._columns :].mean()
            return product

        size = self._columns * (self._terms + 1)
        return LinearOperator((size, size), matvec=times, dtype=np.float64)

    def _curvature(self):
        return self._weights * self._chances * (1 - self._chances)

    def nearness(self, point) -> Nearness:
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
        spread, slopes = np.hsplit(squares.T @ np.hstack([self._residuals**2, curvature]), 2)
        slopes, spread = np.sqrt(slopes), np.sqrt(spread)
        steep, flat = self._steepest(squares), max(self._flattest(), FLATTEST)

        # What is the same wherever a term occurs: what is left of the gradient, the error of idf.
        left = abs(gradient) + SINGLE * EPSILON * abs(coefficients)
        left_constants = SAFETY * SINGLE * EPSILON * np.linalg.norm(self._residuals)
        left_constants += np.linalg.norm(constants)
        total = np.linalg.norm(left) + np.sqrt(steep / flat) * left_constants
        # What differs from one term to the next, and from one text to the next.
        terms = SAFETY * EPSILON * (SINGLE + np.sqrt(texts_with)) * spread
        texts = SAFETY * self._noise(squares, coefficients, intercepts)

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
                + SAFETY * EPSILON * abs(intercepts).sum()
            ),
        )

    def _noise(self, squares, coefficients, intercepts):
        """How far texts move the gradient, as a multiple of the root of A.

        Rounding moves the scores of a text, and stretches it as a whole.
        """
        widths = np.diff(squares.indptr)[:, None]
        relative = EPSILON * (SINGLE + np.sqrt(widths))
        scores = relative * np.sqrt(squares @ coefficients**2) + EPSILON * abs(intercepts)
        moved = self._most_curved() * scores.max(axis=1) ** 2
        misses = abs(self._residuals / self._weights).max(axis=1)
        stretched = self._weights[:, 0] * misses / (1 - misses + EPSILON) * relative[:, 0] ** 2
        return np.sqrt((moved + stretched).max())

    def _flattest(self):
        """The least second derivative of the loss along centred intercepts."""
        if not self._intercepts:
            return np.inf
        if self._columns == 1:
            return self._curvature().sum()
        # It is the Laplacian of a graph in which all labels are joined, and bends at least as much
        # as one whose edges all weigh what the lightest does. No BLAS: a bound needs none.
        weighted = self._weights * self._chances
        joined = sum(
            np.einsum("ni,nj->ij", weighted[some], self._chances[some])
            for some in (slice(n, n + SLICE) for n in range(0, len(weighted), SLICE))
        )
        return self._columns * joined[~np.eye(self._columns, dtype=bool)].min()

    def _most_curved(self):
        """At least the greatest second derivative of the loss of each text: (n_texts,)."""
        return self._curvature().max(axis=1) * (1 if self._columns == 1 else 2)

    def _steepest(self, squares):
        """At least the greatest second derivative of the loss along coefficients."""
        return (squares.sum(axis=1) * self._most_curved()).sum()
