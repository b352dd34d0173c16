"""The few distributions that intervals need, without a library."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import exp, lgamma, log, log1p, sqrt
from statistics import NormalDist

NORMAL_VARIANCE = 1_000.0  # of a binomial count; above it the normal distribution is used
_TINY = 1e-300
_STEPS = 30  # of halving: to a billionth of where it began


def normal_quantile(p: float) -> float:
    """Return the standard normal quantile of *p*."""
    return NormalDist().inv_cdf(p)


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b).

    By its continued fraction (NIST Digital Library of Mathematical Functions, 8.17.22) on the side
    where that converges fast, evaluated as Lentz does (DLMF 3.10, "modified Lentz").
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(1 - x, b, a)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    return front / _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    """Return 1 + d1/(1 + d2/(1 + …)) with the terms of DLMF 8.17.23."""
    value, c, d = 1.0, 1.0, 0.0
    for number in range(1, 10_000):
        m = number // 2
        if number % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / (1 + term * d or _TINY)
        c = 1 + term / c or _TINY
        value *= c * d
        if abs(c * d - 1) < 1e-12:
            break
    return value


@lru_cache(1024)
def t_quantile(p: float, freedom: float) -> float:
    """Return the quantile of *p* > 0.5 of Student's t with *freedom* degrees of freedom.

    From its distribution function, 1 − I_{f/(f+t²)}(f/2, 1/2) / 2 for t > 0 (Abramowitz and Stegun,
    Handbook of Mathematical Functions, 26.5.27).
    """

    def below(t: float) -> float:
        return 1 - beta_cdf(freedom / (freedom + t * t), freedom / 2, 0.5) / 2

    high = 2.0
    while below(high) < p:
        high *= 2
    return _solve(below, p, 0.0, high)


def order_statistic(p: float, n: float, probability: float) -> float:
    """Return the rank r whose order statistic of *n* is below the quantile *p* with *probability*.

    P(X_(r) ≤ q_p) = P(Bin(n, p) ≥ r) = I_p(r, n − r + 1) (David and Nagaraja, Order Statistics, 3rd
    edition, 2.1 and 7.1), read as a function of a real r and of a real *n*. A rank beyond *n*
    means that no value of a sample of *n* is large enough.
    """
    variance = n * p * (1 - p)
    if variance > NORMAL_VARIANCE:
        return n * p + 0.5 + normal_quantile(1 - probability) * sqrt(variance)
    tiny = 1e-9
    return _solve(lambda r: -beta_cdf(p, r, n - r + 1), -probability, tiny, n + 1 - tiny)


def _solve(rising: Callable[[float], float], target: float, low: float, high: float) -> float:
    """Return where a function that rises from *low* to *high* reaches *target*."""
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if rising(middle) < target:
            low = middle
        else:
            high = middle
    return (low + high) / 2
