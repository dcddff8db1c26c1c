"""DialogXL against numbers of its release: states, memory, logits, loss of each turn, every gradient, both paddings."""

import re
from dataclasses import replace

import pytest
import torch
from transformers import XLNetConfig, XLNetModel

from dferc.encoders.dialog_xl_packing import TurnPacker
from dferc.encoders.words import Words
from dferc.models import objective
from dferc.models.dialog_xl import DialogXL, DialogXLConfig

GOLDEN = ("dialog-xl*.safetensors",)
PARTS = {
    "encoder.layer.": "xlnet.layers.",
    "encoder.word_embedding.": "xlnet.embedding.",
    ".rel_attn.": ".attention.",
    ".ff.": ".feed_forward.",
}


def names(golden):
    """Their parameters to ours."""
    found = {}
    for theirs in golden.group("param."):
        ours = theirs
        for part, new in PARTS.items():
            ours = ours.replace(part, new)
        layer = re.fullmatch(r"output_mlp\.fc(\d+)\.(\w+)", ours)
        found[theirs] = f"hidden.{2 * int(layer[1]) - 2}.{layer[2]}" if layer else ours
    return found


def numbers(golden, name):
    """All that stand in an option."""
    return [int(number) for number in re.findall(r"\d+", golden.options[name])]


@pytest.fixture
def build(golden, save_backbone):
    """Makes the model of a file, with the release's padding or without."""
    backbone = XLNetModel(
        XLNetConfig(
            vocab_size=golden.number("vocabulary"),
            d_model=golden.number("hidden_width"),
            n_layer=golden.number("layers"),
            n_head=sum(numbers(golden, "heads_local_global_speaker_listener")),
            d_inner=golden.number("inner_width"),
            ff_activation="gelu_new" if "tanh" in golden.options["activation"] else "gelu",
        )
    )
    folder = save_backbone(backbone)

    def made(padding):
        config = DialogXLConfig(
            backbone=folder,
            memory=golden.number("memory_length"),
            window=golden.number("window"),
            heads=" ".join(map(str, numbers(golden, "heads_local_global_speaker_listener"))),
            hidden=golden.number("mlp_hidden"),
            hidden_layers=golden.number("mlp_layers"),
            loss_over="turns",
            padding=padding,
        )
        model = DialogXL(config, golden.task({})).eval()
        golden.load(model, names(golden))
        return model

    return made


def batch_of(golden, padding):
    """All dialogues of the file, their words laid out by the packer."""
    cls, fill = (int(re.search(rf"{name} (\d+)", golden.options["special_tokens"])[1]) for name in ("cls", "pad"))
    tokens = golden.tensors["input.tokens"].split(golden.tensors["input.token_lengths"].tolist())
    turns = iter([" ".join(map(str, turn.tolist())) for turn in tokens])
    dialogues = [[next(turns) for _ in range(count)] for count in golden.tensors["input.dialogue_lengths"].tolist()]
    special = {"cls": cls, "pad": fill, "unk": golden.number("vocabulary")}
    words = Words(lambda texts: [[int(word) for word in text.split()] for text in texts], special, 1000)
    (longest,) = numbers(golden, "max_utterance_tokens")
    packer = TurnPacker(words, longest, golden.number("memory_length"), padding == "released")
    return replace(golden.batch({}), tokens=packer.pack_texts(dialogues))


def test_states_logits_and_loss(golden, build):
    model, batch = build("released"), batch_of(golden, "released")
    number = batch.valid % batch.mask.shape[1]
    states = model.xlnet(batch.tokens, number, batch.flat(batch.speakers))
    golden.close(states, "output.first_token_states")
    output = model(batch)
    golden.close(batch.flat(output.logits), "output.logits")
    term = output.losses["classification"]
    turns = batch.mask.shape[1]
    golden.close((term.total / term.count)[:turns], "output.loss_per_turn")
    assert not term.count[turns:].any()
    golden.close(term.share(), "output.loss")


def test_gradients(golden, build):
    model = build("released")
    objective(model, model(batch_of(golden, "released")))[0].backward()
    golden.same_gradients(model, names(golden))


def test_without_padding(golden, build):
    model, batch = build("exact"), batch_of(golden, "exact")
    golden.close(batch.flat(model(batch).logits), "output.unpadded.logits")
    assert not torch.allclose(batch.flat(model(batch).logits), golden.tensors["output.logits"], atol=1e-4)


def test_memory_after_the_last_turn(golden):
    """Who said it and how many turns it is still near, as the release keeps them: what one more turn would see."""
    batch, length = batch_of(golden, "exact"), golden.number("memory_length")
    tokens, turns = batch.tokens, batch.mask.shape[1]
    number, party = batch.valid % turns, batch.flat(batch.speakers)
    speaker = torch.zeros(length, len(batch.lengths))
    window = torch.full_like(speaker, 1.0 - turns)
    for dialogue in range(len(batch.lengths)):
        said_in = tokens.said_in[batch.dialogue[tokens.said_in] == dialogue][-length:]
        speaker[length - len(said_in) :, dialogue] = party[said_in] + 1.0
        window[length - len(said_in) :, dialogue] = golden.number("window") - (turns - 1.0 - number[said_in])
    golden.close(speaker, "output.memory_speaker")
    golden.close(window, "output.memory_window")
