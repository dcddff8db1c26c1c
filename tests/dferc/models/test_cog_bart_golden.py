"""CoG-BART against numbers of its release: layout, vectors, states, logits, the three losses and every gradient."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from transformers import BartConfig, BartModel

from dferc.corpus import collate
from dferc.corpus.store import Dialogue
from dferc.encoders.exchange_packing import END, ExchangePacker
from dferc.encoders.words import Words
from dferc.errors import UserError
from dferc.models import objective
from dferc.models.cog_bart import CogBart, CogBartConfig
from dferc.training import make_task

GOLDEN = ("cog-bart*.safetensors",)
PARTS = {
    "dialogue_transformer.self_attn.out_proj": "context.layer.attention.output",
    "dialogue_transformer.self_attn": "context.layer.attention",
    "dialogue_transformer.linear": "context.layer.feed_forward",
    "dialogue_transformer": "context.layer",
    "classifier.fc1": "classifier.0",
    "classifier.fc2": "classifier.3",
    "bart": "bart",
}
PROJECTIONS = ("query", "key", "value")


def names(golden):
    """Their parameters to ours; their three projections in one tensor are cut apart."""
    for key in [key for key in golden.tensors if "in_proj_" in key]:
        before, leaf = key.split("in_proj_")
        for projection, part in zip(PROJECTIONS, golden.tensors.pop(key).chunk(3), strict=True):
            golden.tensors[f"{before}{projection}.{leaf}"] = part
    found = {}
    for theirs in golden.group("param."):
        part = next(part for part in PARTS if theirs.startswith(part))
        found[theirs] = theirs.replace(part, PARTS[part], 1)
    return found


def number_after(text, word):
    """The number that stands before a word of the metadata."""
    return int(re.search(rf"(\d+) {word}", text)[1])


def special(golden):
    """The special sub-tokens, which the metadata lists by name."""
    return {
        name: int(re.search(rf"{name} (\d+)", golden.options["special_tokens"])[1]) for name in ("bos", "pad", "eos")
    }


@pytest.fixture
def model(golden, save_backbone, request):
    """The release, with ``context`` changed where the test asks for it."""
    sizes, numbers = golden.options["bart_layers"], special(golden)
    parameters = golden.group("param.")
    backbone = BartModel(
        BartConfig(
            vocab_size=golden.number("vocabulary"),
            d_model=golden.number("hidden_width"),
            max_position_embeddings=len(parameters["bart.encoder.embed_positions.weight"]) - 2,
            encoder_layers=number_after(sizes, "encoder"),
            decoder_layers=number_after(sizes, "decoder"),
            encoder_attention_heads=number_after(sizes, "heads"),
            decoder_attention_heads=number_after(sizes, "heads"),
            encoder_ffn_dim=len(parameters["bart.encoder.layers.0.fc1.bias"]),
            decoder_ffn_dim=len(parameters["bart.decoder.layers.0.fc1.bias"]),
            bos_token_id=numbers["bos"],
            pad_token_id=numbers["pad"],
            eos_token_id=numbers["eos"],
            decoder_start_token_id=numbers["eos"],
        )
    )
    config = CogBartConfig(
        backbone=save_backbone(backbone),
        max_tokens=golden.number("max_tokens"),
        context=getattr(request, "param", "across"),
        dialogue_heads=number_after(golden.options["dialogue_transformer"], "heads"),
        dialogue_feed_forward=len(parameters["dialogue_transformer.linear1.bias"]),
        hidden=len(parameters["classifier.fc1.bias"]),
        contrastive_weight=float(golden.options["alpha"]),
        generation_weight=float(golden.options["beta"]),
        contrastive_temperature=float(golden.options["temperature"]),
        padding="released",
    )
    model = CogBart(config, golden.task({})).eval()
    golden.load(model, names(golden))
    return model


@pytest.fixture
def batch(golden):
    """All dialogues, packed as a corpus is, from transcripts that are the numbers of their words."""
    numbers, length = special(golden) | {"unk": -1}, golden.number("max_tokens")
    end = int(re.search(r'"end" marker token (\d+)', golden.options["special_tokens"])[1])
    said = golden.tensors["input.tokens"].split(golden.tensors["input.token_lengths"].tolist())
    texts = [" ".join(str(int(word)) for word in utterance[1:-1]) for utterance in said]

    def split(texts):
        return [[end] if text == END else [int(word) for word in text.split()] for text in texts]

    stops = golden.tensors["input.dialogue_lengths"].cumsum(0).tolist()
    dialogues = [Dialogue(f"{i}", begin, stop) for i, (begin, stop) in enumerate(zip([0, *stops], stops, strict=False))]
    corpus = SimpleNamespace(texts=texts, speakers=["nobody"] * len(texts))
    packer = ExchangePacker(Words(split, numbers, length), length, speaker_names=False, count_padding=True)
    tokens = packer.pack(corpus, dialogues)
    ours = [ids[mask].tolist() for ids, mask in zip(tokens.ids, tokens.mask, strict=True)]
    assert ours == [utterance.tolist() for utterance in said]
    return replace(golden.batch({}), tokens=tokens)


def test_outputs_and_losses(golden, model, batch):
    read = model.bart.read(batch.tokens.ids, batch.tokens.mask)
    vectors = model.vectors(batch.tokens, read)
    golden.close(vectors, "output.pooled")
    golden.close(model.context(vectors, batch), "output.dialogue_states")
    output = model(batch)
    golden.close(batch.flat(output.logits), "output.logits")
    golden.close(output.losses["classification"].share(), "output.loss.cross_entropy")
    golden.close(output.losses["contrastive"].share(), "output.loss.contrastive")
    golden.close(output.losses["generation"].share(), "output.loss.generation")


def test_loss_and_gradients(golden, model, batch):
    total, _ = objective(model, model(batch))
    golden.close(total, "output.loss")
    total.backward()
    golden.same_gradients(model, names(golden))


@pytest.mark.parametrize("model", ["alone"], indirect=True)
def test_one_dialogue_a_batch_attends_to_itself(golden, model, batch):
    golden.close(batch.flat(model(batch).logits), "output.unpadded.logits")


def small(corpus, **changes):
    torch.manual_seed(0)
    return CogBart(CogBartConfig(**{**CogBart.small, **changes}), make_task(corpus)).eval()


def packed(corpus, model, dialogues):
    return collate(corpus, dialogues, model.modalities, model.text_packer())


def test_an_utterance_is_answered_by_the_next_and_the_last_by_end(corpus):
    words = {}

    def split(texts):
        return [[words.setdefault(word, 10 + len(words)) for word in text.split()] for text in texts]

    packer = ExchangePacker(
        Words(split, {"bos": 0, "pad": 1, "eos": 2, "unk": 3}, 8), 8, speaker_names=True, count_padding=False
    )
    dialogue = corpus.split("train")[0]
    tokens = packer.pack(corpus, [dialogue])
    said = list(words)
    turns = [ids[mask].tolist() for ids, mask in zip(tokens.ids, tokens.mask, strict=True)]
    spelled = [" ".join(said[word - 10] for word in turn[1:-1]) for turn in turns]
    rows = range(dialogue.start, dialogue.stop)
    named = [f"{corpus.speakers[row]} : {corpus.texts[row]}" for row in rows]
    assert spelled == [" ".join(text.split()[:6]) for text in named]
    counted = tokens.answers.flatten()[tokens.counted]
    answers = [part.tolist() for part in torch.tensor_split(counted, (counted == 0).nonzero().flatten()[1:])]
    assert answers[:-1] == turns[1:]
    assert answers[-1] == [0, words[END], 2]


@pytest.mark.parametrize("labels", ["some unknown", "one class", "none on one worker", "of one utterance"])
def test_two_workers_equal_one(corpus, side_by_side, labels):
    model = small(corpus)
    first, second = corpus.split("train")[:2], corpus.split("train")[2:5]

    def shares(dialogues, *across):
        batch = packed(corpus, model, dialogues)
        known = {
            "some unknown": torch.where(batch.rows % 3 == 0, -1, batch.labels),
            "one class": batch.labels.clamp_max(0),
            "none on one worker": torch.where(batch.rows < first[-1].stop, -1, batch.labels),
            "of one utterance": torch.where(batch.rows == first[0].start, batch.labels, -1),
        }
        return objective(model, model(replace(batch, labels=known[labels]), *across), *across)

    def gradients(total):
        model.zero_grad()
        total.backward()
        return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}

    total, losses = shares([*first, *second])
    alone = gradients(total)
    assert total.isfinite()
    totals, parts = zip(*side_by_side(shares, [(first,), (second,)]), strict=True)
    torch.testing.assert_close({name: sum(part[name] for part in parts) for name in losses}, losses)
    torch.testing.assert_close(gradients(sum(totals)), alone, rtol=1e-4, atol=1e-6)


def test_a_dialogue_without_labels_counts_in_no_loss(corpus):
    model = small(corpus)
    known, unknown = corpus.split("train")[:2]
    both = packed(corpus, model, [known, unknown])
    both = replace(both, labels=torch.where(both.rows >= unknown.start, -1, both.labels))
    _, losses = objective(model, model(both))
    torch.testing.assert_close(losses, objective(model, model(packed(corpus, model, [known])))[1])


def test_a_loss_that_weighs_nothing_is_left_out(corpus):
    model = small(corpus, contrastive_weight=0, generation_weight=0)
    assert set(model(packed(corpus, model, corpus.split("train")[:2])).losses) == {"classification"}
    assert model.loss_weights() == {"classification": 1}


def test_the_second_view_passes_nothing_to_bart(corpus):
    model = small(corpus, contrastive_weight=1, generation_weight=0)
    batch = packed(corpus, model, corpus.split("train")[:3])
    seen = []
    hook = model.context.register_forward_pre_hook(lambda _, given: seen.append(given[0].requires_grad))
    model(batch)
    hook.remove()
    assert seen == [True, False]


def test_settings_that_cannot_be(corpus):
    with pytest.raises(ValueError, match="sum is more than 1"):
        CogBartConfig(contrastive_weight=0.7, generation_weight=0.4)
    with pytest.raises(UserError, match="dialogue_heads = 7 does not divide"):
        small(corpus, dialogue_heads=7)
