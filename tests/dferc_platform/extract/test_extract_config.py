"""Settings of an extraction: from a file and a command line, all errors at once, and again from a corpus."""

import pytest

from dferc.corpus import CorpusCard, Modality
from dferc.encoders.audio import AudioExtraction
from dferc.encoders.comet import CometExtraction, by_relation
from dferc.encoders.utterance_text import TextExtraction
from dferc.encoders.video import VideoExtraction
from dferc.errors import UserError
from dferc_platform.extract.config import ExtractionConfig, as_in, read_extraction


def test_the_command_line_outranks_the_file(tmp_path):
    (tmp_path / "e.yaml").write_text("text: {source: a, layer: -2}\naudio: {feature_set: IS09}\nclip: 5\n")
    config = read_extraction(tmp_path / "e.yaml", {"text": {"source": "b"}, "audio": None})
    assert config == ExtractionConfig(text=TextExtraction(source="b", layer=-2), clip=5)


def test_all_bad_settings_are_named_at_once(tmp_path):
    (tmp_path / "e.yaml").write_text("text: {layer: 7}\nsmell: {}\nclip: -1\n")
    with pytest.raises(UserError) as caught:
        read_extraction(tmp_path / "e.yaml", {})
    assert all(name in str(caught.value) for name in ("text.layer", "smell", "clip", "has 3 problems"))


@pytest.mark.parametrize("content", ["[1, 2]", "text: [", "\x00"])
def test_a_file_that_is_no_mapping_is_a_sentence(tmp_path, content):
    (tmp_path / "e.yaml").write_text(content)
    with pytest.raises(UserError, match=r"e\.yaml"):
        read_extraction(tmp_path / "e.yaml", {})


def card(**modalities):
    return CorpusCard(name="old", labels=("a", "b"), modalities=modalities, source="s", licence="l", split_note="n")


def test_a_corpus_can_be_followed():
    audio, visual = AudioExtraction(feature_set="IS09"), VideoExtraction(weights="w.safetensors", margin=0.2)
    old = card(
        text=Modality(
            width=4,
            extractor="roberta, transformers 5",
            parameters={"pooling": "mean", "layer": -2},
            hub="roberta-base",
        ),
        audio=Modality(width=384, extractor="o", parameters={**audio.model_dump(), "decoder": "av 1"}),
        visual=Modality(width=342, extractor="d", parameters=visual.model_dump(exclude={"weights"}), weights="abc"),
    )
    config = as_in(old, {"visual": "w.safetensors"})
    text = TextExtraction(source="roberta-base", pooling="mean", layer=-2)
    assert config == ExtractionConfig(text=text, audio=audio, visual=visual)
    assert as_in(old, {"visual": "w", "text": "here/"}).text.source == "here/"


def comet(relations, **settings):
    parameters = {"relations": relations, "template": "{relation} {text}", "max_tokens": 99}
    width = 4 * len(relations.split())
    return by_relation(Modality(width=width, extractor="bart", parameters=parameters, weights="abc", **settings))


def test_relations_of_one_comet_are_followed_together():
    wanted = CometExtraction(source="m", relations=("xWant", "oReact"), template="{relation} {text}", max_tokens=99)
    assert as_in(card(**comet("xWant oReact")), {"comet": "m"}) == ExtractionConfig(comet=wanted)
    assert as_in(card(**comet("xWant oReact", hub="m")), {}) == ExtractionConfig(comet=wanted)
    with pytest.raises(UserError, match="comet_xwant needs --comet with the weights whose SHA-256 is abc"):
        as_in(card(**comet("xWant")), {})


def test_what_is_made_goes_by_the_names_of_its_modalities():
    config = ExtractionConfig(text=TextExtraction(), comet=CometExtraction(relations=("xWant", "oReact")))
    assert config.modalities() == ("text", "comet_xwant", "comet_oreact")
    assert ExtractionConfig().modalities() == ()


def test_a_corpus_that_was_imported_cannot_be_followed():
    old = card(
        text=Modality(width=4, extractor="someone's file"),
        comet_xwant=Modality(width=4, extractor="COSMIC's file"),
        visual=Modality(width=342, extractor="d", parameters={"margin": 0.2}, weights="abc"),
    )
    with pytest.raises(UserError) as caught:
        as_in(old, {})
    assert "text was not made by `dferc data extract`, but by someone's file" in str(caught.value)
    assert "comet_xwant was not made by `dferc data extract`, but by COSMIC's file" in str(caught.value)
    assert "visual needs --visual with the weights whose SHA-256 is abc" in str(caught.value)


def test_what_a_card_does_not_know_must_be_given():
    old = card(
        text=Modality(width=4, extractor="roberta, transformers 5", parameters={"pooling": "mean"}, weights="abc"),
        visual=Modality(width=342, extractor="d", parameters={"margin": 0.2}),
    )
    with pytest.raises(UserError) as caught:
        as_in(old, {})
    assert "text needs --text with the weights whose SHA-256 is abc" in str(caught.value)
    assert "visual needs --visual with `random`, an untrained network" in str(caught.value)


def test_unknown_modalities_cannot_be_standardised(tmp_path):
    (tmp_path / "e.yaml").write_text("standardise: [vidio]")
    with pytest.raises(UserError, match="standardise"):
        read_extraction(tmp_path / "e.yaml", {})
    with pytest.raises(UserError, match="there is no file"):
        read_extraction(tmp_path / "absent.yaml", {})
