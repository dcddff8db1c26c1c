"""HiTrans against numbers of its release: layout of the words, vectors, states, both tasks, losses, every gradient."""

from dataclasses import replace

import pytest
import torch
from transformers import BertConfig, BertModel

from dferc.encoders.dialogue_packing import DialoguePacker
from dferc.models import objective
from dferc.models.hitrans import HiTrans, HiTransConfig

GOLDEN = ("hitrans*.safetensors",)
PARTS = {
    "utterance_encoder.": "encoder.",
    "dialogue_transformer.layer": "context.layers.",
    "emotion_classifier.": "classifier.",
    "loss_sigma": "speakers.deviation",
    "speaker.branch1.": "speakers.first.1.",
    "speaker.branch2.": "speakers.second.1.",
    "speaker.": "speakers.",
}
ATTENTION = ("query", "key", "value", "output")


def names(golden):
    """Their parameters to ours."""
    found = {}
    for theirs in golden.group("param."):
        part = next(part for part in PARTS if theirs.startswith(part))
        ours = theirs.replace(part, PARTS[part], 1)
        if part.startswith("dialogue_transformer"):
            number, name = ours.removeprefix("context.layers.").split(".", 1)
            inner = f"attention.{name}" if name.split(".")[0] in ATTENTION else name
            ours = f"context.layers.{number}.{inner}"
        found[theirs] = ours
    return found


@pytest.fixture
def layout(golden):
    """Sub-tokens of each utterance of each dialogue, and the sequences that the release makes of them."""
    special = {"pad": 0, "cls": 1, "sep": 2}
    streams = golden.tensors["input.tokens"].split(golden.tensors["input.token_lengths"].tolist())
    starts = golden.tensors["input.utterance_start"].split(golden.tensors["input.dialogue_lengths"].tolist())
    dialogues = []
    for stream, begins in zip(streams, starts, strict=True):
        turns = torch.tensor_split(stream, begins[1:])
        dialogues.append(
            [[t for t in turn.tolist()[1:] if t not in (special["pad"], special["sep"])] for turn in turns]
        )
    return special, dialogues, streams


class Given:
    """Words that are numbers already."""

    def __init__(self, special):
        self.special = special

    def dialogues(self, texts):
        return texts


def packed(golden, layout):
    special, dialogues, _ = layout
    return DialoguePacker(Given(special), int(golden.options["chunk_length"].split()[0])).pack_texts(dialogues)


def test_the_layout_is_the_released_one(golden, layout):
    chunk = int(golden.options["chunk_length"].split()[0])
    theirs = [part.tolist() for stream in layout[2] for part in stream.split(chunk)]
    tokens = packed(golden, layout)
    ours = [ids[mask].tolist() for ids, mask in zip(tokens.ids, tokens.mask, strict=True)]
    assert ours == [[token for token in part if token != layout[0]["pad"]] for part in theirs]


@pytest.fixture
def model(golden, tmp_path, save_backbone):
    encoder = BertModel(
        BertConfig(
            vocab_size=golden.number("vocabulary"),
            hidden_size=golden.number("hidden_width"),
            num_hidden_layers=golden.number("bert_layers"),
            num_attention_heads=golden.number("bert_heads"),
            intermediate_size=golden.number("bert_intermediate"),
            max_position_embeddings=len(
                golden.tensors["param.utterance_encoder.embeddings.position_embeddings.weight"]
            ),
        ),
        add_pooling_layer=False,
    )
    config = HiTransConfig(
        backbone=save_backbone(encoder),
        max_tokens=int(golden.options["chunk_length"].split()[0]),
        layers=golden.number("dialogue_layers"),
        heads=golden.number("dialogue_heads"),
        feed_forward=golden.number("dialogue_feed_forward"),
    )
    model = HiTrans(config, golden.task({})).eval()
    golden.load(model, names(golden))
    return model


def test_outputs_and_losses(golden, layout, model):
    tokens = packed(golden, layout)
    batch = replace(golden.batch({}), tokens=tokens)
    states = model.encoder(input_ids=tokens.ids, attention_mask=tokens.mask.long()).last_hidden_state
    golden.close(states.flatten(0, 1)[tokens.at], "output.utterance_vectors")
    utterances = model.context(batch.padded(states.flatten(0, 1)[tokens.at]), batch.mask)
    golden.close(batch.flat(utterances), "output.dialogue_states")
    pairs = model.speakers.logits(utterances)
    for number, length in enumerate(batch.lengths.tolist()):
        golden.close(pairs[number, :length, :length], f"output.same_speaker_logits.{number}")
    output = model(batch)
    golden.close(batch.flat(output.logits), "output.logits")
    golden.close(output.losses["classification"].share(), "output.loss.emotion")
    golden.close(output.losses["same_speaker"].share(), "output.loss.speaker")
    golden.close(objective(model, output)[0], "output.loss")


def test_gradients(golden, layout, model):
    objective(model, model(replace(golden.batch({}), tokens=packed(golden, layout))))[0].backward()
    golden.same_gradients(model, names(golden))
