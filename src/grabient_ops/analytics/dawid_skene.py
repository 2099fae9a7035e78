"""Judges annotators without knowing the truth: the EM algorithm of Dawid and Skene (1979)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from grabient_ops.analytics.patience import keep_to_time
from grabient_ops.palettes.spaces import Floats

Ints = NDArray[np.int64]

_LEAST = 1e-10
"""Nothing is held to be impossible, or a single answer could veto all others."""


class Votes(NamedTuple):
    """Who called what by which word, as columns of one length.

    Attributes:
        task, worker, word: numbers from 0; each combination stands once.
        times: how often the worker said so.
    """

    task: Ints
    worker: Ints
    word: Ints
    times: Ints


class Fit(NamedTuple):
    """What EM found.

    Attributes:
        belief: probability of each word for each task, shape (tasks, words).
        prior: probability of each word over all tasks, shape (words,).
        confusion: probability that a worker says a word when another is true, shape
            (workers, words said, words true); sums to 1 over the words said.
    """

    belief: Floats
    prior: Floats
    confusion: Floats

    def accuracy(self) -> Floats:
        """Give the probability that each worker's word is the true one, shape (workers,)."""
        right: Floats = np.einsum("wtt,t->w", self.confusion, self.prior)
        return right


def fit(votes: Votes, words: int, *, iterations: int = 100, tolerance: float = 1e-6) -> Fit:
    """Estimate the truth and each worker's confusion from at least one vote.

    Begins with the shares of the votes; ends when no belief moves by more than the tolerance, or
    after so many iterations. A word that a worker never had the occasion to call by its name is
    said in that worker's matrix as by chance.
    """
    workers = int(votes.worker.max()) + 1
    tasks = int(votes.task.max()) + 1
    belief = _normalised(_tallied(votes.task * words + votes.word, votes.times, tasks * words)
                         .reshape(tasks, words))  # fmt: skip
    prior, confusion = _learn(votes, belief, workers)
    for _ in range(iterations):
        keep_to_time()
        before, belief = belief, _believe(votes, prior, confusion, tasks)
        prior, confusion = _learn(votes, belief, workers)
        if np.abs(belief - before).max() <= tolerance:
            break
    return Fit(belief, prior, confusion)


def _learn(votes: Votes, belief: Floats, workers: int) -> tuple[Floats, Floats]:
    """M: how frequent each word is, and what each worker says for it."""
    words = belief.shape[1]
    said = votes.worker * words + votes.word
    columns = [
        _tallied(said, votes.times * belief[votes.task, true], workers * words)
        for true in range(words)
    ]
    counts = np.stack(columns, axis=1).reshape(workers, words, words)
    confusion = _normalised(np.maximum(counts, _LEAST))
    return np.maximum(belief.mean(axis=0), _LEAST), confusion


def _believe(votes: Votes, prior: Floats, confusion: Floats, tasks: int) -> Floats:
    """E: how likely each word is for each task, given who said what."""
    log = np.log(confusion)
    columns = [
        _tallied(votes.task, votes.times * log[votes.worker, votes.word, true], tasks)
        for true in range(len(prior))
    ]
    likelihood = np.log(prior) + np.stack(columns, axis=1)
    return _normalised(np.exp(likelihood - likelihood.max(axis=1, keepdims=True)))


def _tallied(places: Ints, weights: Floats | Ints, size: int) -> Floats:
    sums = np.bincount(places, weights=weights, minlength=size)
    return sums.astype(np.float64, copy=False)


def _normalised(values: Floats) -> Floats:
    """Make the numbers along the second axis sum to 1."""
    shares: Floats = values / values.sum(axis=1, keepdims=True)
    return shares
