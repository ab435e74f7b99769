"""Bring a fitted logistic regression from near its optimum to it, as near as doubles can be.

A solver stops somewhere within its tolerance; where, depends on the CPU's rounding. The L2 penalty
makes the problem strictly convex with modulus 1, so the distance of the coefficients from the one
optimum is at most the length of the gradient: made small enough, it leaves rounding nothing to
decide. Newton's method doubles the number of correct digits with each step.
"""

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg
from sklearn.utils.class_weight import compute_sample_weight

STEPS = 6
# Of the gradient (of C times the summed loss plus half the squared coefficients): how short it has
# to become, and how short it must be where rounding lets it get no shorter.
ENOUGH, BEARABLE = 1e-11, 1e-8


def polish(estimator, matrix, labels) -> float:
    """Move ``coef_`` and ``intercept_`` to the optimum; return the length of the gradient there.

    matrix: sparse (n_texts, n_terms). labels: (n_texts,). The estimator is a LogisticRegression
    with an L2 penalty, fitted on them. Its intercepts are centred: their sum is arbitrary.
    """
    problem = _Problem(estimator, matrix, labels)
    point = problem.pack(estimator.coef_, estimator.intercept_)
    gradient = problem.gradient(point)
    length = np.linalg.norm(gradient)
    for _ in range(STEPS):
        if length <= ENOUGH:
            break
        step, _ = cg(problem.hessian(), -gradient, rtol=1e-10, maxiter=1000)
        moved = point + step
        gradient = problem.gradient(moved)
        if np.linalg.norm(gradient) >= length:
            break
        point, length = moved, np.linalg.norm(gradient)
    estimator.coef_, intercepts = problem.unpack(point)
    if len(intercepts) > 1:
        intercepts = intercepts - intercepts.mean()
    estimator.intercept_ = intercepts
    return float(length)


class _Problem:
    """The objective's derivatives at a point: coefficients and intercepts in one vector.

    Two classes have one row of coefficients and a sigmoid, more have a row each and a softmax.
    """

    def __init__(self, estimator, matrix, labels):
        self._matrix, self._transposed = matrix, matrix.T.tocsr()
        self._rows, self._terms = estimator.coef_.shape
        self._intercepts = estimator.fit_intercept
        truth = np.asarray(labels)[:, None] == estimator.classes_[None, :]
        self._truth = truth[:, -self._rows :].astype(np.float64)
        weights = compute_sample_weight(estimator.class_weight, labels)
        self._weights = (estimator.C * weights)[:, None]

    def pack(self, coefficients, intercepts):
        return np.concatenate([coefficients.ravel(), intercepts])

    def unpack(self, point):
        split = self._rows * self._terms
        return point[:split].reshape(self._rows, self._terms), point[split:]

    def _scores(self, point):
        coefficients, intercepts = self.unpack(point)
        return self._matrix @ coefficients.T + intercepts

    def _derivative(self, residuals, point):
        coefficients, _ = self.unpack(point)
        slopes = (self._transposed @ residuals).T + coefficients
        constants = residuals.sum(axis=0) if self._intercepts else np.zeros(self._rows)
        return self.pack(slopes, constants)

    def gradient(self, point):
        scores = self._scores(point)
        if self._rows == 1:
            self._chances = 1 / (1 + np.exp(-scores))
        else:
            odds = np.exp(scores - scores.max(axis=1, keepdims=True))
            self._chances = odds / odds.sum(axis=1, keepdims=True)
        return self._derivative(self._weights * (self._chances - self._truth), point)

    def hessian(self):
        """The second derivative where ``gradient`` was last asked for, as an operator."""
        chances, size = self._chances, self._rows * (self._terms + 1)

        def times(direction):
            change = self._scores(direction)
            if self._rows == 1:
                change = chances * (1 - chances) * change
            else:
                change = chances * (change - (chances * change).sum(axis=1, keepdims=True))
            product = self._derivative(self._weights * change, direction)
            if self._rows > 1:
                # The one direction without curvature: all intercepts alike. Give it some.
                product[-self._rows :] += direction[-self._rows :].mean()
            return product

        return LinearOperator((size, size), matvec=times, dtype=np.float64)
