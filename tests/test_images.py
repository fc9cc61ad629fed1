"""Images come out of files as they went in: the real download, the real files, small pictures."""

import functools
import gzip
import http.server
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.checksums import UrlInfo

import grokjax
from grokjax.tasks import _downloads, images

ROOT = Path(__file__).parent.parent


def packed(array):
    """A file of the kind in which MNIST is published."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    return gzip.compress(header + array.tobytes(), compresslevel=1)


def digits(num_images):
    """Random pictures of 28 x 28, and labels that count 0, 1, ... 9, 0, ..."""
    random = np.random.default_rng(num_images)
    pictures = random.integers(256, size=(num_images, 28, 28), dtype=np.uint8)
    return pictures, (np.arange(num_images) % 10).astype(np.uint8)


@contextmanager
def served(folder):
    """The address of a folder, while somebody serves it."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def fetch_digits(folder, data_dir, num_train, num_test):
    """What `fetch mnist` does, from a server that has fewer digits."""
    folder.mkdir()
    for split, num_images in (("train", num_train), ("t10k", num_test)):
        pictures, labels = digits(num_images)
        (folder / f"{split}-images-idx3-ubyte.gz").write_bytes(packed(pictures))
        (folder / f"{split}-labels-idx1-ubyte.gz").write_bytes(packed(labels))
    with served(folder) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setattr(_downloads.FETCHERS["mnist"], "URL", url)
        return _downloads.fetch("mnist", data_dir)


class TinyPictures(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Colours of 3 x 2, of seven kinds; picture i is made of the numbers 18 i, 18 i + 1, ..."""

    VERSION = tfds.core.Version("1.0.0")
    IMAGE = tfds.features.Image(shape=(3, 2, 3))
    LABEL = tfds.features.ClassLabel(num_classes=7)

    def _info(self):
        features = tfds.features.FeaturesDict({"image": self.IMAGE, "label": self.LABEL})
        return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

    def _split_generators(self, dl_manager):
        del dl_manager
        return {"train": self._generate_examples(0, 11), "test": self._generate_examples(11, 13)}

    def _generate_examples(self, first, last):
        for i in range(first, last):
            pixels = np.arange(18 * i, 18 * (i + 1)).astype(np.uint8).reshape(3, 2, 3)
            yield i, {"image": PIL.Image.fromarray(pixels), "label": i % 7}


class SizelessPictures(TinyPictures):
    """The same, but nobody has promised that they are of one size."""

    IMAGE = tfds.features.Image(shape=(None, None, 3))


class UnlabelledPictures(TinyPictures):
    """The same, but their numbers are no classes."""

    LABEL = tfds.features.Scalar(dtype=np.int32)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    tfds.disable_progress_bar()
    folder = tmp_path_factory.mktemp("data")
    for builder in (TinyPictures, SizelessPictures, UnlabelledPictures):
        builder(data_dir=folder, file_format="array_record").download_and_prepare()
    return folder


def test_digits_from_the_network_become_rows_of_the_table(tmp_path):
    builder = fetch_digits(tmp_path / "server", tmp_path / "data", 23, 17)
    task = images.make(samples=17, split="test", data_dir=str(tmp_path / "data"))
    pictures, labels = digits(17)
    inputs_NxL, labels_N = task.examples.inputs_NxL, task.examples.labels_N
    found = {row.tobytes(): label for row, label in zip(inputs_NxL, labels_N, strict=True)}

    assert builder.info.splits["train"].num_examples == 23
    assert (task.num_tokens, task.num_classes) == (256, 10)
    assert inputs_NxL.dtype == labels_N.dtype == np.int32
    assert found == {
        picture.astype(np.int32).tobytes(): label
        for picture, label in zip(pictures, labels, strict=True)
    }


def test_a_file_that_is_not_there_or_another_is_an_error_of_the_network(tmp_path, monkeypatch):
    """An OSError, of which the command line makes one line."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with served(tmp_path) as url:
        monkeypatch.setattr(_downloads.FETCHERS["mnist"], "URL", url)
        with pytest.raises(OSError, match="HTTP code: 404"):
            _downloads.fetch("mnist", tmp_path / "data")
        promised = UrlInfo(size=3, checksum="0" * 64, filename="another")
        infos = {}
        for name in (
            "train-images-idx3",
            "train-labels-idx1",
            "t10k-images-idx3",
            "t10k-labels-idx1",
        ):
            (tmp_path / f"{name}-ubyte.gz").write_bytes(b"abc")
            infos[f"{url}{name}-ubyte.gz"] = promised
        monkeypatch.setattr(_downloads.FETCHERS["mnist"], "url_infos", infos)
        with pytest.raises(OSError, match="checksum"):
            _downloads.fetch("mnist", tmp_path / "data")


def test_pixels_stand_row_by_row_and_channel_by_channel(data_dir):
    task = images.make("tiny_pictures", samples=11, data_dir=str(data_dir))
    number_N = task.examples.inputs_NxL[:, 0] // 18

    assert sorted(number_N) == list(range(11))
    np.testing.assert_array_equal(task.examples.labels_N, number_N % 7)
    np.testing.assert_array_equal(task.examples.inputs_NxL, 18 * number_N[:, None] + np.arange(18))


def test_the_seed_chooses_the_images_and_a_split_may_be_a_sum(data_dir):
    def chosen(seed):
        task = images.make("tiny_pictures", 5, "train+test", seed, str(data_dir))
        return task.examples.inputs_NxL[:, 0].tolist()

    assert chosen(0) == chosen(0)
    assert len({frozenset(chosen(seed)) for seed in range(5)}) > 1
    assert max(max(chosen(seed)) for seed in range(9)) >= 11 * 18  # one of the test split


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(samples=1), "samples = 1; choose 2 or more"),
        (dict(samples=12), "samples = 12; choose at most 11, the 'train' split of tiny_pictures"),
        (dict(split="trian"), "Unknown split 'trian'. Should be one of .'train', 'test'"),
        (dict(dataset="mnist"), "fetch it: python -m grokjax.datasets fetch mnist --data_dir /"),
        (dict(dataset="mnist:9.9.9"), "no data set 'mnist:9.9.9' in .*; choose one that is there"),
        (dict(dataset="two words"), "no data set 'two words' in .*; choose one that is there"),
        (dict(dataset="mnist/big"), "no data set 'mnist/big' in .*; choose one that is there"),
        (dict(seed=-1), "seed = -1; choose 0 or more"),
        (dict(dataset="digit"), "one that is there .*, digits, .*; did you mean 'digits'"),
        (dict(dataset="nothing"), "no data set 'nothing' in .*; choose one that is there"),
        (dict(dataset="sizeless_pictures"), "has no 'image' of bytes and of one size"),
        (dict(dataset="unlabelled_pictures"), "has no 'label' of classes"),
    ],
)
def test_images_that_cannot_be_had_are_one_clear_error(options, message, data_dir):
    usual = dict(dataset="tiny_pictures", samples=7, data_dir=str(data_dir))
    with pytest.raises(ValueError, match=message) as error:
        images.make(**{**usual, **options})
    assert "\n" not in str(error.value)


def test_the_digits_of_scikit_learn_need_no_network():
    datasets = pytest.importorskip("sklearn.datasets")
    task = images.make("digits", samples=1797, seed=3)
    inputs_NxL, labels_N = datasets.load_digits(return_X_y=True)
    given, expected = (
        sorted(np.column_stack(table).astype(int).tolist())
        for table in ((task.examples.inputs_NxL, task.examples.labels_N), (inputs_NxL, labels_N))
    )

    assert given == expected
    assert (task.num_tokens, task.num_classes) == (17, 10)
    assert task.examples.inputs_NxL.dtype == task.examples.labels_N.dtype == np.int32
    with pytest.raises(ValueError, match="samples = 2000; choose at most 1797, the 'train' split"):
        images.make("digits")
    with pytest.raises(ValueError, match="unknown split 'test'; choose from train"):
        images.make("digits", 10, split="test")


def test_digits_without_scikit_learn_are_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ValueError, match=r"scikit-learn; install it with pip install 'grokjax\[im"):
        images.make("digits", 10)


@pytest.mark.slow
def test_an_mlp_learns_images_by_heart(tmp_path):
    fetch_digits(tmp_path / "server", tmp_path / "data", 23, 17)
    config = grokjax.base(
        task=dict(name="images", samples=19, data_dir=str(tmp_path / "data")),
        model=dict(name="mlp", code="pixels", hidden=(13, 11)),
    )
    config.batch_size = 5
    config.schedule.update(num_steps=60, eval_every=20, checkpoint_every=60)
    config.runs = grokjax.grid(config.runs, seed=(0, 1), learning_rate=0.01, weight_decay=0.0)
    experiment = grokjax.setup(config)
    given = (experiment.trainer, experiment.runs_R, experiment.dataset)
    *_, (_, _, metrics_R) = grokjax.chunks(*given, num_steps=60, lift="vmap")

    assert (metrics_R["train_accuracy"] == 1).all()
    assert (metrics_R["val_accuracy"] < 0.6).all()  # the pictures are noise


@pytest.mark.slow
def test_a_data_set_that_is_missing_is_one_line_and_exit_code_2(tmp_path):
    arguments = f"--config configs/modadd_mlp.py:task=images --config.task.data_dir={tmp_path}"
    done = subprocess.run(
        [sys.executable, "-m", "grokjax.train", *arguments.split(), f"--workdir={tmp_path}/run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"python -m grokjax.datasets fetch mnist --data_dir {tmp_path}" in done.stderr
