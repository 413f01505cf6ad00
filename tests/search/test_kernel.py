"""The kernel is the formula of its docstring, and its derivatives are those of differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from blackbox_grad.search.kernel import (
    CONSTANT,
    covariance,
    covariance_and_slopes,
    slopes_in_lengths_and_weights,
    variance,
)

RANDOM = np.random.default_rng(0)
A, B = RANDOM.uniform(size=(5, 3)), RANDOM.uniform(size=(4, 3))
LENGTHS, WEIGHTS = np.array([0.3, 1.0, 2.0]), np.array([0.5, 2.0, 0.1])


def covariances(a, b, lengths=LENGTHS, weights=WEIGHTS):
    """`[N, M]`, and the distances in it."""
    return covariance(*(torch.from_numpy(np.ascontiguousarray(x)) for x in (a, b, lengths, weights)))


def test_it_is_a_constant_a_linear_term_and_a_matern():
    for a, row in zip(A, covariances(A, B)[0].numpy(), strict=True):
        for b, found in zip(B, row, strict=True):
            d = np.sqrt(5.0) * np.linalg.norm((a - b) / LENGTHS)
            linear = (WEIGHTS * (a - 0.5)) @ (WEIGHTS * (b - 0.5))
            assert found == pytest.approx(CONSTANT + linear + (1 + d + d**2 / 3) * np.exp(-d))


def test_the_variance_is_the_covariance_with_itself():
    np.testing.assert_allclose(variance(A, WEIGHTS), covariances(A, A)[0].diagonal().numpy(), rtol=1e-9)


def test_slopes_along_the_place_are_those_of_differences():
    found, slopes = covariance_and_slopes(A[0], B, LENGTHS, WEIGHTS)
    np.testing.assert_allclose(found, covariances(A[:1], B)[0][0].numpy())
    for i, move in enumerate(1e-5 * np.eye(3)):
        ahead, behind = (covariances(place[None], B)[0][0].numpy() for place in (A[0] + move, A[0] - move))
        np.testing.assert_allclose(slopes[:, i], (ahead - behind) / 2e-5, rtol=1e-5, atol=1e-7)


def test_slopes_in_the_logarithms_of_lengths_and_weights_are_those_of_differences():
    half = RANDOM.standard_normal((5, 5))
    to_kernel = half + half.T

    def function(lengths, weights):
        return float((to_kernel * covariances(A, A, lengths, weights)[0].numpy()).sum())

    distance = covariances(A, A)[1]
    found = slopes_in_lengths_and_weights(torch.from_numpy(to_kernel), A, distance, LENGTHS, WEIGHTS)
    for i, factor in enumerate(np.exp(1e-5 * np.eye(3))):
        in_length = function(LENGTHS * factor, WEIGHTS) - function(LENGTHS / factor, WEIGHTS)
        in_weight = function(LENGTHS, WEIGHTS * factor) - function(LENGTHS, WEIGHTS / factor)
        assert [slopes[i] for slopes in found] == pytest.approx([in_length / 2e-5, in_weight / 2e-5], rel=1e-5, abs=1e-7)
