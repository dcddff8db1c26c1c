"""The card says everything that a reader needs, and survives any text in it as Markdown."""

import re

from dferc.corpus.card_page import card_page
from dferc.corpus.contract import Modality, Scaling
from dferc.corpus.doctor import examine


def page_of(corpus, **changes):
    made = type(corpus)(corpus.table, corpus.card.model_copy(update=changes), corpus.fingerprint)
    return card_page(made, examine(made, quick=True))


def cells(page, first):
    """The cells of the row that begins with ``first``."""
    (row,) = re.findall(rf"^\| {re.escape(first)} \| (.*) \|$", page, re.MULTILINE)
    return re.split(r"(?<!\\) \| ", row)


def test_counts_and_provenance(corpus):
    page = page_of(
        corpus,
        files={"a.csv": "f" * 64},
        repairs=("a | b was mended",),
        speaker_note="order of appearance",
        licence="CC BY 4.0",
    )
    assert f"Fingerprint: `{corpus.fingerprint}`" in page
    splits = ("train", "validation", "test")
    assert cells(page, "dialogues") == [str(len(corpus.split(split))) for split in splits]
    for i, label in enumerate(corpus.card.labels):
        assert cells(page, label) == [str(corpus.label_counts(split)[i]) for split in splits]
    assert cells(page, "a.csv") == [f"`{'f' * 64}`"]
    for said in ("CC BY 4.0", "order of appearance", "- a | b was mended", "made by a test", "by number"):
        assert said in page
    assert cells(page, "mended")[-1] == "a \\| b was mended"
    assert "\ndferc data verify 'ward 3.parquet'\n" in page_of(corpus, name="ward 3")


def test_modalities_say_how_they_were_made(corpus):
    scaling = Scaling(mean=(0.0,) * 6, scale=(1.0,) * 6, clip=10.0)
    text = Modality(width=6, extractor="an|encoder", parameters={"layer": -1}, weights="ab" * 32, scaling=scaling)
    page = page_of(corpus, modalities={**corpus.card.modalities, "text": text})
    assert cells(page, "text") == [
        "6",
        "an\\|encoder",
        "layer=-1",
        "abababababababab",
        "standardised on train, clipped at 10",
    ]
    assert cells(page, "audio")[-1] == "as extracted"


def test_published_counts_stand_beside(corpus):
    labels = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
    page = page_of(corpus, name="meld", labels=labels)
    assert cells(page, "utterances")[1::2] == ["9989", "1109", "2610"]
    assert cells(page, "fear")[1::2] == ["268", "40", "50"]
    assert "published" not in page_of(corpus).split("## Modalities")[0]
