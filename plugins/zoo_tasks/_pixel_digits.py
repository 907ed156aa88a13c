"""The handwritten digits of scikit-learn, 1,797 images of 8 by 8 pixels, as sequences.

E. Alpaydin & C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository, 1998,
https://doi.org/10.24432/C50P49. They replace MNIST, which no package includes, in the task of Q. V.
Le, N. Jaitly & G. E. Hinton, *A Simple Way to Initialize Recurrent Networks of Rectified Linear Units*, 2015,
https://arxiv.org/abs/1504.00941: classify an image pixel by pixel, in reading order or in a random order.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

import zoo

Array = np.ndarray[Any, Any]

PIXELS = 64
CLASSES = 10
REFERENCE: dict[str, Any] = {
    "title": "A Simple Way to Initialize Recurrent Networks of Rectified Linear Units",
    "authors": "Quoc V. Le, Navdeep Jaitly, Geoffrey E. Hinton",
    "year": 2015,
    "url": "https://arxiv.org/abs/1504.00941",
    "deviations": "The images are the 1,797 digits of 8 by 8 pixels that come with scikit-learn (Alpaydin "
    "and Kaynak 1998), with 64 steps, where others use MNIST, with 784 steps. Accuracies do not compare with "
    "published ones.",
}


class PixelDigits(zoo.Task, abstract=True):
    """Classify digits that are read pixel by pixel."""

    family = "vision"
    metric = "accuracy"
    threshold = 0.9
    threshold_source = "set here: nine of ten digits; for these images no value is published"
    input_size = 1
    output_size = CLASSES

    def order(self) -> Array:
        """The order of the pixels, ``(64,)``."""
        return np.arange(PIXELS)

    def make_batch(self, index: int, size: int, seed: int, part: str) -> zoo.Batch:
        """A batch of images: drawn at random in training, consecutive in validation and test.

        The last batch repeats images with the weight zero.
        """
        images, classes = digits(self.label())
        available = split_indices(part, len(images))
        if part == "train":
            numbers = zoo.TaskRng(self.name, seed, part, index).integers(0, len(available), size)
        else:
            numbers = index % (self.batch_count(part, size) or 1) * size + np.arange(size)
        selected = available[numbers % len(available)]
        inputs = images[selected][:, self.order()].T[..., None]
        targets, weights = np.zeros((PIXELS, size), np.int32), np.zeros((PIXELS, size), np.float32)
        targets[-1], weights[-1] = classes[selected], numbers < len(available)
        return zoo.Batch(np.ascontiguousarray(inputs), targets, weights)

    def batch_count(self, part: str, size: int) -> int | None:
        """The number of batches in validation or test; None for training, which draws images at random."""
        return None if part == "train" else -(-len(split_indices(part, 1797)) // size)

    def baseline(self) -> float:
        """The accuracy of the most frequent digit for each brightness of the last pixel."""
        images, classes = digits(self.label())
        last = np.round(images[:, self.order()[-1]] * 16).astype(int)
        counts = np.zeros((17, CLASSES))
        np.add.at(counts, (last, classes), 1)
        return float(counts.max(axis=1).sum() / counts.sum())


@functools.cache
def digits(owner: str) -> tuple[Array, Array]:
    """Images ``(N, 64)`` from 0 to 1, and their classes ``(N,)``.

    Raises:
        zoo.UsageError: if scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise zoo.UsageError(
            f"{owner} needs the digits of scikit-learn: pip install 'recurrent-zoo[tasks]'"
        ) from None
    images, classes = load_digits(return_X_y=True)
    return images.astype(np.float32) / 16, classes.astype(np.int32)


def split_indices(part: str, count: int) -> Array:
    """Indices of the images of a part: 70 % training, 15 % each validation and test."""
    order = zoo.TaskRng("digits").permutations(count)
    first, second = round(0.7 * count), round(0.85 * count)
    return {"train": order[:first], "valid": order[first:second], "test": order[second:]}[part]
