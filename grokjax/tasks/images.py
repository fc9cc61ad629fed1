"""Labelled images from a data set of tensorflow-datasets; no TensorFlow needed.

A thousand MNIST digits are the setting in which a network grokks on images, once its initial
weights are made eight times as large: Liu, Michaud & Tegmark, 2022, "Omnigrok: Grokking Beyond
Algorithmic Data", https://arxiv.org/abs/2210.01117, and Lee, Kim, Kim & Lee, 2024, "Grokfast",
https://arxiv.org/abs/2405.20233.
"""

import os
import shlex
from typing import Any

import numpy as np

from grokjax.core.checks import check_choice, did_you_mean
from grokjax.core.data import Examples, Task
from grokjax.core.hparams import at_least, check_ranges

FETCHED = ("mnist", "fashion_mnist", "kmnist")  # by `python -m grokjax.datasets fetch`
RANGES = {"samples": at_least(2), "seed": at_least(0)}
SHIPPED = "digits"  # with scikit-learn, no network needed


def make(
    dataset: str = "mnist",  # of tensorflow-datasets; digits: scikit-learn's
    samples: int = 2000,  # images, for training and validation
    split: str = "train",  # part of the data set that images are drawn from
    seed: int = 0,  # of the choice of images
    data_dir: str = "~/tensorflow_datasets",  # folder of data sets
) -> Task:
    """`samples` images drawn from one split of a data set, the same for all runs.

    `runs.train_fraction` says how many of them are for training, the others for validation:
    1,000 and 1,000 with the defaults. Both papers validate on the data set's test split; here a
    run has its own training images, so the others come from the same split. Any data set in
    `data_dir` will do that has features `image` (bytes, all of one size) and `label`, as
    array_record files. `digits` are the 1,797 of 8 x 8 pixels, 0..16, that come with scikit-learn.

    Tokens are the pixels, 0..255, row by row and channel by channel, for an `mlp` with
    `code = "pixels"`; classes are the labels.

        rows [0, 9] and [255, 4]  ->  inputs [0, 9, 255, 4]
    """
    check_ranges("", locals(), RANGES)
    if dataset == SHIPPED:
        source, num_levels, num_classes = _digits(split), 17, 10
    else:
        builder = _open(dataset, data_dir)
        num_levels, num_classes = 256, _num_classes(dataset, dict(builder.info.features))
        source = builder.as_data_source(split=split)
    if samples > len(source):
        raise ValueError(
            f"samples = {samples}; choose at most {len(source)}, the {split!r} split of {dataset}"
        )
    sample_N = np.random.default_rng(seed).permutation(len(source))[:samples]
    rows = [source[i] for i in sample_N.tolist()]
    inputs_NxL = np.stack([row["image"].ravel() for row in rows]).astype(np.int32)
    labels_N = np.array([row["label"] for row in rows], np.int32)
    return Task(Examples(inputs_NxL, labels_N), num_levels, num_classes)


def _digits(split):
    """The rows of scikit-learn's digits, as those of a data source."""
    check_choice("split", split, ["train"])
    try:
        from sklearn.datasets import load_digits  # an optional package
    except ImportError as error:
        raise ValueError(
            "digits come with scikit-learn; install it with pip install 'grokjax[images]'"
        ) from error
    table: Any = load_digits()
    pairs = zip(table.images, table.target, strict=True)
    return [{"image": image, "label": label} for image, label in pairs]


def _open(dataset, data_dir) -> Any:  # pyright does not see through tfds' builders
    """The builder of a data set whose files are there."""
    import tensorflow_datasets as tfds  # half a second that no other task needs

    folder = os.path.expanduser(data_dir)
    try:
        builder = tfds.builder(dataset, data_dir=folder, file_format="array_record")
        if builder.is_prepared():
            return builder
    except (ValueError, AssertionError, ImportError, OSError):  # unknown name, version, namespace
        pass
    remedy = (
        f"choose one that is there as array_record files, {SHIPPED}, or fetch one of "
        f"{', '.join(FETCHED)}{did_you_mean(dataset, [SHIPPED, *FETCHED])}"
    )
    if dataset in FETCHED:
        place = shlex.quote(data_dir)
        remedy = f"fetch it: python -m grokjax.datasets fetch {dataset} --data_dir {place}"
    raise ValueError(f"no data set {dataset!r} in {data_dir!r}; {remedy}")


def _num_classes(dataset, features):
    image = features.get("image")
    label = features.get("label")
    if image is None or image.np_dtype != np.uint8 or None in image.shape:
        raise ValueError(
            f"{dataset} has no 'image' of bytes and of one size; choose a data set of such images"
        )
    if not hasattr(label, "num_classes"):
        raise ValueError(f"{dataset} has no 'label' of classes; choose a data set that has")
    return label.num_classes
