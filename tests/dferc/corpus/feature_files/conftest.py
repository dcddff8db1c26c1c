"""Writes small files in the exact layouts of the field's public feature files, from conversations that are known."""

import io
import json
import pickle
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest

IEMOCAP_ORDER = ("happy", "sad", "neutral", "angry", "excited", "frustrated")
MELD_ORDER = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
ORDERS = {"iemocap": IEMOCAP_ORDER, "meld": MELD_ORDER}
CODES = dict(zip(IEMOCAP_ORDER, ("hap", "sad", "neu", "ang", "exc", "fru"), strict=True))
SPLITS = {
    "iemocap": {
        "train": ("Ses02F_script01_3", "Ses01F_impro01", "Ses04M_impro05"),
        "validation": ("Ses01M_impro01", "Ses04F_impro07"),
        "test": ("Ses05M_impro03", "Ses05F_impro02"),
    },
    "meld": {"train": (59, 0, 61), "validation": (1039, 1152), "test": (1432, 1153)},
}
MELD_NAMES = {
    0: "train-0000", 59: "train-0059", 61: "train-0061", 1039: "validation-0000", 1152: "validation-0113",
    1153: "test-0000", 1432: "test-0279",
}  # fmt: skip
RELATIONS = ("xintent", "xattr", "xneed", "xwant", "xeffect", "xreact", "owant", "oeffect", "oreact")
ROBERTA = ("text", "text_layer2", "text_layer3", "text_layer4")


@dataclass(frozen=True)
class Utterance:
    party: int
    label: int
    text: str


@dataclass(frozen=True)
class Style:
    """How the same content may be written."""

    collect: Callable = list
    """What holds the ids of a split."""
    rows: Callable = list
    """What holds the vectors of a dialogue."""
    labels: Callable = list


@dataclass
class Truth:
    """Conversations, and the vectors that were made up for them on the way."""

    corpus: str
    dialogues: dict
    style: Style = field(default_factory=Style)
    seed: int = 0
    vectors: dict = field(default_factory=dict)

    def __post_init__(self):
        self.random = np.random.default_rng(self.seed)

    def modality(self, name, width):
        """Vectors of one modality, remembered under its name unless that is empty."""
        made = {
            d: [self.random.normal(size=width).astype(np.float32) for _ in utterances]
            for d, utterances in self.dialogues.items()
        }
        if name:
            self.vectors[name] = made
        return {d: self.style.rows(rows) for d, rows in made.items()}

    def modalities(self, *named):
        return [self.modality(name, width) for name, width in named]

    def field(self, entry):
        return {d: [entry(d, i, u) for i, u in enumerate(us)] for d, us in self.dialogues.items()}

    def labels(self):
        return {d: self.style.labels([u.label for u in us]) for d, us in self.dialogues.items()}

    def speakers(self):
        if self.corpus == "iemocap":
            return self.field(lambda d, i, u: "MF"[u.party])
        return self.field(lambda d, i, u: [int(u.party == column) for column in range(9)])

    def texts(self):
        return self.field(lambda d, i, u: u.text)

    def ids(self):
        if self.corpus == "iemocap":
            return self.field(lambda d, i, u: f"{d}_{'MF'[u.party]}{i:03d}")
        return self.field(lambda d, i, u: str(i))

    def zeros(self):
        return self.field(lambda d, i, u: 0)

    def split(self, *names):
        wanted = [d for name in names for d in SPLITS[self.corpus][name] if d in self.dialogues]
        return self.style.collect(wanted)

    def head(self):
        return [self.ids(), self.speakers(), self.labels()]

    def tail(self):
        return [self.texts(), self.split("train", "validation"), self.split("test")]

    def own_splits(self):
        return [self.split("train"), self.split("test"), self.split("validation")]


def conversations(corpus="iemocap", dialogues=None, lengths=None, **options):
    """Made-up conversations in all splits."""
    random = np.random.default_rng(3)
    ids = dialogues or [d for split in SPLITS[corpus].values() for d in split]
    lengths = lengths or [3, 2, 4, 1, 2, 3, 2]
    parties, classes = (2, 6) if corpus == "iemocap" else (3, 7)
    return Truth(
        corpus,
        {
            d: [
                Utterance(int(random.integers(parties)), int(random.integers(classes)), f"It\x92s {d}, turn {i}.")
                for i in range(length)
            ]
            for d, length in zip(ids, lengths, strict=False)
        },
        **options,
    )


def mmgcn_iemocap(t):
    return {"a.pkl": (*t.head(), *t.modalities(("text", 100), ("audio", 1582), ("visual", 342)), *t.tail())}


def dialoguegcn_iemocap(t):
    return {"a.pkl": (*t.head(), *t.modalities(("text", 100), ("audio", 100), ("visual", 512)), *t.tail())}


def bclstm_meld(t):
    return {"a.pkl": (*t.head(), *t.modalities(("text", 600), ("audio", 300)), *t.tail(), t.zeros())}


def mmgcn_meld(t):
    return {"a.pkl": (*t.head(), *t.modalities(("text", 600), ("audio", 300), ("visual", 342)), *t.tail(), t.zeros())}


def cosmic(t):
    labels = [t.labels()] if t.corpus == "iemocap" else [t.labels(), t.zeros()]
    layers = t.modalities(*((name, 1024) for name in ROBERTA))
    return {"roberta.pkl": [t.speakers(), *labels, *layers, t.texts(), *t.own_splits()]}


def comet(t):
    return {"comet.pkl": t.modalities(*((f"comet_{relation}", 768) for relation in RELATIONS))}


def cosmic_comet(t):
    return cosmic(t) | comet(t)


def sdt(t):
    layers = t.modalities(*((name, 1024) for name in ROBERTA))
    others = t.modalities(("audio", 1582 if t.corpus == "iemocap" else 300), ("visual", 342))
    unused = [] if t.corpus == "iemocap" else [t.zeros()]
    return {"a.pkl": (*t.head(), *layers, *others, *t.tail(), *unused)}


def cfn_meld(t):
    layers = t.modalities(*((name, 1024) for name in ROBERTA))
    return {"a.pkl": (*t.head(), t.zeros(), *layers, *t.modalities(("audio", 300), ("visual", 342)), *t.tail(), {})}


def m3net(t):
    """MMGCN's file gives audio and visual, COSMIC's the text."""
    base = mmgcn_iemocap(t) if t.corpus == "iemocap" else mmgcn_meld(t)
    return {"z.pkl": base["a.pkl"]} | cosmic(t)


def multiemo(t):
    """The original vectors of the speakers' file count for nothing."""
    base = dialoguegcn_iemocap(t) if t.corpus == "iemocap" else mmgcn_meld(t)
    return {
        "Speakers.pkl": base["a.pkl"],
        "t.pkl": t.modality("text", 768),
        "a.pkl": t.modality("audio", 512),
        "v.pkl": t.modality("visual", 1000),
    }


def dualgats(t):
    speakers = t.field(lambda d, i, u: u.party) if t.corpus == "iemocap" else t.speakers()
    links = {d: [(0, i) for i in range(1, len(us))] for d, us in t.dialogues.items()}
    relations = {d: [3] * (len(us) - 1) for d, us in t.dialogues.items()}
    text = t.modality("text", 1024)
    return {"a.pkl": (speakers, t.labels(), text, links, relations, t.texts(), *t.own_splits())}


def _samples(t, make):
    parts = {"train": "train", "dev": "validation", "test": "test"}
    return {name: [make(d) for d in SPLITS[t.corpus][split] if d in t.dialogues] for name, split in parts.items()}


def cogmen(t):
    speakers, labels, texts = t.speakers(), t.labels(), t.texts()
    text, cnn, audio, visual = t.modalities(("text", 768), ("text_cnn", 100), ("audio", 100), ("visual", 512))

    def make(d):
        sample = Sample()
        sample.__dict__.update(
            vid=d, speaker=speakers[d], label=labels[d], text=cnn[d], audio=audio[d], visual=visual[d],
            sentence=texts[d], sbert_sentence_embeddings=np.array(text[d]),
        )  # fmt: skip
        return sample

    return {"a.pkl": _samples(t, make)}


def corect(t):
    speakers, labels, texts = t.speakers(), t.labels(), t.texts()
    text, audio, visual = t.modalities(("text", 768), ("audio", 100), ("visual", 512))
    return {
        "a.pkl": _samples(
            t,
            lambda d: {
                "vid": d, "speakers": speakers[d], "labels": labels[d], "audio": audio[d], "visual": visual[d],
                "text": np.array(text[d]), "sentence": texts[d],
            },
        )
    }  # fmt: skip


def dag_erc(t):
    """Every third utterance has no label, as many of IEMOCAP's have none in these files."""
    text = t.modality("text", 1024)
    t.unlabelled = lambda i: i % 3 == 2

    def utterance(d, i, u):
        named = {"text": u.text, "speaker": f"{d}_{'MF'[u.party]}" if t.corpus == "iemocap" else f"Friend {u.party}"}
        label = CODES[IEMOCAP_ORDER[u.label]] if t.corpus == "iemocap" else MELD_ORDER[u.label]
        cls = {"cls": [float(x) for x in text[d][i]]}
        return named | cls if t.unlabelled(i) else named | {"label": label} | cls

    return {
        f"{split}.feature": [
            [utterance(d, i, u) for i, u in enumerate(t.dialogues[d])]
            for d in SPLITS[t.corpus][split]
            if d in t.dialogues
        ]
        for split in ("train", "validation", "test")
    }


BOTH = ("iemocap", "meld")
LAYOUTS = {
    "mmgcn-iemocap": (mmgcn_iemocap, "iemocap"),
    "dialoguegcn-iemocap": (dialoguegcn_iemocap, "iemocap"),
    "bclstm-meld": (bclstm_meld, "meld"),
    "mmgcn-meld": (mmgcn_meld, "meld"),
    "cfn-meld": (cfn_meld, "meld"),
    "cogmen-iemocap": (cogmen, "iemocap"),
    "corect-iemocap": (corect, "iemocap"),
    **{
        f"{maker.__name__}-{corpus}": (maker, corpus)
        for maker in (cosmic, cosmic_comet, sdt, m3net, multiemo, dualgats, dag_erc)
        for corpus in BOTH
    },
}


class Sample:
    """Stands for COGMEN's class; pickled under its name."""


class _Python2(pickle._Pickler):
    """Writes texts and bytes as the byte strings of Python 2."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_byte_string(self, value):
        raw = value.encode("latin-1") if isinstance(value, str) else value
        self.write(b"U" + bytes([len(raw)]) + raw if len(raw) < 256 else b"T" + struct.pack("<i", len(raw)) + raw)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_byte_string


def _pickled(value, protocol):
    if protocol == "python2":
        stream = io.BytesIO()
        _Python2(stream, protocol=2).dump(value)
        return stream.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")
    return pickle.dumps(value, protocol=protocol)


@pytest.fixture(scope="session")
def cogmen_module():
    """Makes ``Sample`` pickle under the name that COGMEN's has."""
    with pytest.MonkeyPatch.context() as patch:
        module = ModuleType("cogmen.Sample")
        module.Sample = Sample
        patch.setitem(sys.modules, "cogmen", ModuleType("cogmen"))
        patch.setitem(sys.modules, "cogmen.Sample", module)
        patch.setattr(Sample, "__module__", "cogmen.Sample")
        yield


@dataclass(frozen=True)
class Writer:
    """What the tests need of this file."""

    conversations = staticmethod(conversations)
    layouts = LAYOUTS
    style = Style
    splits = SPLITS
    meld_names = MELD_NAMES
    orders = ORDERS

    @staticmethod
    def make(layout, **options):
        """Conversations and the content of each file of a layout."""
        maker, corpus = LAYOUTS[layout]
        truth = conversations(corpus, **options)
        return truth, maker(truth)

    @staticmethod
    def write(folder: Path, contents, protocol=2):
        """The files, under names that mislead."""
        paths = []
        for i, (name, content) in enumerate(contents.items()):
            path = folder / f"IEMOCAP_features_{i}_{len(name)}.pkl"
            if name.endswith(".feature"):
                path.write_text(json.dumps(content), encoding="utf-8")
            else:
                path.write_bytes(_pickled(content, protocol))
            paths.append(path)
        return paths


@pytest.fixture(scope="session")
def writer(cogmen_module):
    return Writer()
