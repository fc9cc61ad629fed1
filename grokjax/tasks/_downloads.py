"""Image data sets from the network, for the task `images`; no TensorFlow needed."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
from tensorflow_datasets.core.download.util import DownloadError
from tensorflow_datasets.image_classification import mnist

from grokjax.core.checks import check_choice
from grokjax.tasks.images import FETCHED


def _without_tensorflow(original: Any):
    """A builder of the MNIST family, whose own code unpacks its files with TensorFlow."""

    class Fetched(original, skip_registration=True):  # pyright: ignore
        name = original.name
        url_infos = original.url_infos  # checksums

        def _split_generators(self, dl_manager):
            dl_manager = SimpleNamespace(download_and_extract=dl_manager.download)
            return super()._split_generators(dl_manager)

        def _generate_examples(self, num_examples, data_path, label_path):
            del num_examples  # the files know
            pairs = zip(_read_idx(data_path), _read_idx(label_path), strict=True)
            for row, (image, label) in enumerate(pairs):
                yield row, {"image": PIL.Image.fromarray(image), "label": int(label)}

    return Fetched


def _read_idx(path) -> np.ndarray:
    """The bytes of a packed IDX file: 0, 0, 8, the number of axes, their lengths, the items."""
    packed = gzip.decompress(Path(path).read_bytes())
    axes = packed[3]
    shape = np.frombuffer(packed, ">i4", count=axes, offset=4)
    return np.frombuffer(packed, np.uint8, offset=4 + 4 * axes).reshape(shape)


FETCHERS = {
    builder.name: _without_tensorflow(builder)
    for builder in (mnist.MNIST, mnist.FashionMNIST, mnist.KMNIST)
}


def fetch(name: str, data_dir: str | Path) -> tfds.core.DatasetBuilder:
    """Downloads a data set for the task `images` unless it is there; returns its builder.

    Raises:
        OSError: if the network, the server or the disk fails, or what came is not what was asked.
    """
    check_choice("data set", name, FETCHED)
    try:
        return prepared(FETCHERS[name], data_dir)
    except (DownloadError, NonMatchingChecksumError) as error:  # mere Exceptions in tfds
        raise OSError(str(error)) from error


def prepared(builder_class: Callable, data_dir: str | Path) -> tfds.core.DatasetBuilder:
    """Lets a builder write its array_record files unless they are there; returns it."""
    tfds.disable_progress_bar()  # a table takes a moment
    options = {"data_dir": os.path.expanduser(data_dir), "file_format": "array_record"}
    builder = builder_class(**options)
    try:
        builder.download_and_prepare()
    except FileExistsError:  # another process was faster, and its files are whole
        return builder_class(**options)
    return builder
