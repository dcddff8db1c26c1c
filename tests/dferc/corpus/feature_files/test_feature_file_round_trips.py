"""Every layout round-trips: features to the last bit, labels by name, splits as published, honest speakers."""

import hashlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dferc.corpus.importers.feature_files import import_feature_files
from dferc.corpus.importers.feature_files.layouts import LAYOUTS

NAMES = [
    "mmgcn-iemocap", "dialoguegcn-iemocap", "bclstm-meld", "mmgcn-meld", "cfn-meld", "cogmen-iemocap", "corect-iemocap",
    "cosmic-iemocap", "cosmic-meld", "cosmic_comet-iemocap", "cosmic_comet-meld", "sdt-iemocap", "sdt-meld",
    "m3net-iemocap", "m3net-meld", "multiemo-iemocap", "multiemo-meld", "dualgats-iemocap", "dualgats-meld",
    "dag_erc-iemocap", "dag_erc-meld",
]  # fmt: skip


def imported(writer, layout, contents, folder, protocol=2):
    paths = writer.write(folder, contents, protocol)
    if not layout.startswith("dag_erc"):
        return import_feature_files(paths[::-1])
    return import_feature_files(paths, splits=dict(zip(contents_splits(contents), paths, strict=True)))


def contents_splits(contents):
    return [name.removesuffix(".feature") for name in contents]


def name_in_corpus(writer, layout, truth, dialogue):
    """Its id in the corpus; DAG-ERC's files have no numbers of MELD, only places."""
    if truth.corpus == "iemocap":
        return dialogue
    if layout.startswith("dag_erc"):
        split = next(s for s, ids in writer.splits["meld"].items() if dialogue in ids)
        place = [d for d in writer.splits["meld"][split] if d in truth.dialogues].index(dialogue)
        return f"{split}-place-{place:04d}"
    return writer.meld_names[dialogue]


def speaker_in_corpus(layout, truth, dialogue, name, utterance):
    if truth.corpus == "iemocap" and not layout.startswith("dualgats"):
        return f"{dialogue[:5]}_{'MF'[utterance.party]}"
    if layout.startswith("dag_erc"):
        return f"Friend {utterance.party}"
    return f"{name}/party-{utterance.party}"


def assert_round_trip(writer, layout, truth, corpus):
    names = {name_in_corpus(writer, layout, truth, d): d for d in truth.dialogues}
    assert sorted(d.id for d in corpus.dialogues) == sorted(names)
    for split, ids in writer.splits[truth.corpus].items():
        assert {names[d.id] for d in corpus.split(split)} == set(ids) & set(truth.dialogues)
    assert set(corpus.card.modalities) == set(truth.vectors)
    label_names = [*corpus.card.labels, None]
    for dialogue in corpus.dialogues:
        original = names[dialogue.id]
        rows = slice(dialogue.start, dialogue.stop)
        utterances = truth.dialogues[original]
        labels = [
            None if getattr(truth, "unlabelled", lambda i: False)(i) else writer.orders[truth.corpus][u.label]
            for i, u in enumerate(utterances)
        ]
        assert [label_names[label] for label in corpus.labels[rows]] == labels
        speakers = [speaker_in_corpus(layout, truth, original, dialogue.id, u) for u in utterances]
        assert corpus.speakers[rows].tolist() == speakers
        assert corpus.texts[rows] == [u.text.replace("\x92", "’") for u in utterances]
        for modality, vectors in truth.vectors.items():
            assert corpus.features(modality)[rows].tobytes() == np.array(vectors[original]).tobytes()


@pytest.mark.parametrize("layout", NAMES)
@pytest.mark.parametrize("protocol", [4, "python2"])
def test_layout_round_trips(layout, protocol, writer, tmp_path):
    truth, contents = writer.make(layout)
    corpus = imported(writer, layout, contents, tmp_path, protocol)
    assert_round_trip(writer, layout, truth, corpus)
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()}
    assert corpus.card.files == hashes
    assert corpus.card.name == truth.corpus
    assert any("texts in a broken encoding were repaired" in repair for repair in corpus.card.repairs)


@pytest.mark.parametrize("layout", ["mmgcn-iemocap", "mmgcn-meld", "cosmic-iemocap", "dualgats-meld"])
def test_files_read_as_bytes_and_saved_again_round_trip(layout, writer, tmp_path):
    """What ``encoding="bytes"`` makes of the strings of Python 2: ids, speakers and texts are bytes."""
    truth, contents = writer.make(layout)
    assert_round_trip(writer, layout, truth, imported(writer, layout, in_bytes(contents), tmp_path))


def in_bytes(value):
    """The same with byte strings for texts, below the names of the files."""
    if isinstance(value, dict):
        return {key if str(key).endswith(".pkl") else in_bytes(key): in_bytes(inside) for key, inside in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(in_bytes, value))
    return value.encode("latin-1") if isinstance(value, str) else value


def test_arrays_of_byte_strings_round_trip(writer, tmp_path):
    """What ``np.array`` makes of strings in Python 2."""
    style = writer.style(collect=lambda ids: np.array(ids, dtype="S"))
    truth, contents = writer.make("mmgcn-iemocap", style=style)
    speakers = {d: np.array(entries, dtype="S1") for d, entries in contents["a.pkl"][1].items()}
    contents["a.pkl"] = (contents["a.pkl"][0], speakers, *contents["a.pkl"][2:])
    assert_round_trip(writer, "mmgcn-iemocap", truth, imported(writer, "mmgcn-iemocap", contents, tmp_path))


def test_samples_may_be_of_a_class_in_any_module(writer, tmp_path):
    truth, contents = writer.make("cogmen-iemocap")
    [path] = writer.write(tmp_path, contents, 2)
    path.write_bytes(path.read_bytes().replace(b"ccogmen.Sample\nSample", b"c__main__\nSample"))
    assert_round_trip(writer, "cogmen-iemocap", truth, import_feature_files([path]))


def test_every_layout_is_written_here(writer):
    assert set(NAMES) == set(writer.layouts)
    assert len(LAYOUTS) == 19


ids = {
    corpus: st.lists(st.sampled_from(known), min_size=1, unique=True)
    for corpus, known in (
        ("iemocap", ["Ses02F_script01_3", "Ses01F_impro01", "Ses04M_impro05", "Ses01M_impro01", "Ses04F_impro07",
                     "Ses05M_impro03", "Ses05F_impro02"]),
        ("meld", [59, 0, 61, 1039, 1152, 1432, 1153]),
    )
}  # fmt: skip


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_conversations_in_any_layout_round_trip(data, writer, tmp_path_factory):
    layout = data.draw(st.sampled_from(NAMES))
    chosen = data.draw(ids[layout.rpartition("-")[2]])
    lengths = data.draw(st.lists(st.integers(1, 5), min_size=len(chosen), max_size=len(chosen)))
    style = writer.style(
        collect=data.draw(st.sampled_from([list, tuple, set, frozenset, np.array])),
        rows=data.draw(st.sampled_from([list, tuple, np.array, lambda rows: [row.tolist() for row in rows]])),
        labels=data.draw(st.sampled_from([list, tuple, np.array])),
    )
    truth, contents = writer.make(layout, dialogues=chosen, lengths=lengths, style=style)
    contents = {name: content for name, content in contents.items() if not name.endswith(".feature") or content}
    folder = tmp_path_factory.mktemp("files")
    corpus = imported(writer, layout, contents, folder, data.draw(st.sampled_from([2, 4, "python2"])))
    assert_round_trip(writer, layout, truth, corpus)
