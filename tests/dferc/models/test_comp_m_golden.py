"""CoMPM against numbers of its release: what it reads, vectors, logits, loss, every gradient; no look-ahead."""

import re
from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

from dferc.corpus import collate
from dferc.encoders.comp_m_packing import MemoryPacker
from dferc.encoders.words import Words
from dferc.models import objective
from dferc.models.comp_m import CoMPM, CoMPMConfig, first
from dferc.training import make_task

GOLDEN = ("compm*.safetensors",)
PARTS = {"context_encoder.": "context.", "memory_encoder.": "memory.", "memory_gru.": "track."}


def names(golden):
    """Their parameters to ours."""
    found = {}
    for theirs in golden.group("param."):
        part = next((part for part in PARTS if theirs.startswith(part)), None)
        found[theirs] = theirs.replace(part, PARTS[part], 1) if part else theirs
    return found


def special(golden):
    """Numbers of cls, padding and the first speaker's marker."""
    return (
        int(n) for n in re.match(r"cls (\d+), pad (\d+); .* (\d+)\+speaker", golden.options["special_tokens"]).groups()
    )


def packer_of(golden, padding, max_tokens):
    """A packer to whose tokenizer a word is a number, and a speaker's marker one word."""
    cls, pad, marker = special(golden)

    def number(word):
        speaker = re.fullmatch(r"<s(\d+)>", word)
        return marker + int(speaker[1]) - 1 if speaker else int(word)

    known = {"cls": cls, "pad": pad, "unk": pad}
    words = Words(lambda texts: [[number(word) for word in text.split()] for text in texts], known, max_tokens)
    return MemoryPacker(words, max_tokens, over_padding=padding == "released")


def packed(golden, model):
    """The file's dialogues, as the model's packer lays them out."""
    utterances = golden.tensors["input.tokens"].split(golden.tensors["input.token_lengths"].tolist())
    texts = [" ".join(map(str, utterance.tolist())) for utterance in utterances]
    parties = golden.tensors["input.speakers"].tolist()
    ends = golden.tensors["input.dialogue_lengths"].cumsum(0).tolist()
    spans = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    return model.text_packer().pack_texts([texts[span] for span in spans], [parties[span] for span in spans])


def built(golden, save_backbone, padding):
    sizes = {name.removeprefix("param.context_encoder."): t.shape for name, t in golden.tensors.items()}
    positions = sizes["embeddings.position_embeddings.weight"][0]
    cls, pad, _ = special(golden)
    backbone = RobertaModel(
        RobertaConfig(
            vocab_size=golden.number("vocabulary"),
            hidden_size=golden.number("hidden_width"),
            num_hidden_layers=golden.number("layers"),
            num_attention_heads=golden.number("heads"),
            intermediate_size=golden.number("intermediate"),
            max_position_embeddings=positions,
            type_vocab_size=sizes["embeddings.token_type_embeddings.weight"][0],
            bos_token_id=cls,
            pad_token_id=pad,
        ),
        add_pooling_layer=False,
    )
    config = CoMPMConfig(
        backbone=save_backbone(backbone),
        max_tokens=positions - pad - 1,
        memory_layers=sum(name.startswith("param.memory_gru.weight_ih_l") for name in golden.tensors),
        padding=padding,
    )
    model = CoMPM(config, golden.task({})).eval()
    model.packer = packer_of(golden, padding, config.max_tokens)
    golden.load(model, names(golden))
    return model


@pytest.fixture
def model(golden, save_backbone):
    return built(golden, save_backbone, "released")


def test_the_layout_is_the_released_one(golden, model):
    tokens = packed(golden, model)
    steps = tokens.tracks.shape[1]
    for number, latest in enumerate(tokens.latest.tolist()):
        context = tokens.context.ids[number][tokens.context.mask[number]]
        assert context.tolist() == golden.tensors[f"input.context_tokens.{number}"].tolist()
        theirs = golden.tensors.get(f"input.memory_tokens.{number}")
        assert (theirs is None) == (latest == tokens.tracks.numel())
        if theirs is not None:
            rows = tokens.tracks[latest // steps, : latest % steps + 1]
            ours = [tokens.memories.ids[row][tokens.memories.mask[row]].tolist() for row in rows]
            assert ours == theirs.tolist()


def test_reproduces_the_release(golden, model):
    batch = replace(golden.batch({}), tokens=packed(golden, model))
    golden.close(first(model.context, batch.tokens.context), "output.context_vectors")
    output = model(batch)
    golden.close(batch.flat(output.logits), "output.logits")
    total, _ = objective(model, output)
    golden.close(total, "output.loss")
    total.backward()
    golden.same_gradients(model, names(golden))


def one_by_one(model, padding, dialogues, parties, special):
    """Logits [N, C] by the equations, for one utterance after another; released: padding is attended to."""
    cls, pad, marker = special
    logits = []
    for dialogue, who in zip(dialogues, parties, strict=True):
        for now in range(len(dialogue)):
            said = [word for k in range(now + 1) for word in (marker + who[k], *dialogue[k])]
            context = model.context(torch.tensor([[cls, *said]])).last_hidden_state[0, 0]
            rows = [torch.tensor([cls, *dialogue[k]]) for k in range(now) if who[k] == who[now]]
            memory = torch.zeros_like(context)
            if rows:
                together = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad)
                read = together.split(1) if padding == "released" else [row.unsqueeze(0) for row in rows]
                memory = model.track(torch.cat([model.memory(row).last_hidden_state[:, 0] for row in read]))[0][-1]
            logits.append(model.classifier(context + memory))
    return torch.stack(logits)


@pytest.mark.parametrize("padding", ["exact", "released"])
def test_uneven_utterances_equal_those_read_one_by_one(golden, save_backbone, padding):
    """The file's utterances may be too even to need padding."""
    model = built(golden, save_backbone, padding)
    lengths, turns = [[2, 1, 4, 3, 1], [3], [1, 4, 2, 2, 3, 1]], torch.Generator().manual_seed(0)
    parties = [[0, 1, 0, 0, 0], [0], [0, 1, 1, 2, 1, 0]]
    cls, pad, marker = special(golden)
    dialogues = [
        [torch.randint(pad + 1, marker, (n,), generator=turns).tolist() for n in dialogue] for dialogue in lengths
    ]
    texts = [[" ".join(map(str, words)) for words in dialogue] for dialogue in dialogues]
    tokens = model.text_packer().pack_texts(texts, parties)
    memory = model._tracked(first(model.memory, tokens.memories), tokens)
    ours = model.classifier(first(model.context, tokens.context) + memory)
    theirs = {kind: one_by_one(model, kind, dialogues, parties, (cls, pad, marker)) for kind in ("exact", "released")}
    torch.testing.assert_close(ours, theirs.pop(padding), rtol=0, atol=1e-6)
    assert not torch.allclose(ours, *theirs.values(), rtol=0, atol=1e-5)
    assert len(tokens.memories.ids) == {"exact": 6, "released": 10}[padding]


@pytest.mark.parametrize("padding", ["exact", "released"])
def test_what_is_said_later_changes_nothing_before_it(corpus, padding):
    torch.manual_seed(0)
    config = CoMPMConfig(**CoMPM.small | {"padding": padding})
    model = CoMPM(config, make_task(corpus)).eval()
    dialogue = max(corpus.split("train"), key=len)
    batch = collate(corpus, [dialogue], model.modalities, model.text_packer())
    texts = corpus.texts[dialogue.start : dialogue.stop]
    parties = corpus.parties[dialogue.start : dialogue.stop].tolist()
    cut = len(texts) // 2
    changed = [text if turn < cut else f"something else, longer by far: {text}" for turn, text in enumerate(texts)]
    later = replace(batch, tokens=model.text_packer().pack_texts([changed], [parties]))
    same = torch.isclose(model(later).logits, model(batch).logits, atol=1e-6).all(-1).flatten()
    assert same[:cut].all()
    assert not same[cut:].any()


def test_a_long_conversation_keeps_its_end():
    packer = MemoryPacker(Words.hashed(8), 8)
    words = Words.hashed(8)
    texts = ["one two three", "four five six", "seven eight nine ten eleven twelve thirteen"]
    tokens = packer.pack_texts([texts], [[0, 1, 0]])
    assert tokens.context.ids.shape[1] == 8
    whole = [id for words in words.ids([f"<s{p}> {t}" for p, t in ((1, texts[0]), (2, texts[1]))]) for id in words]
    assert tokens.context.ids[1].tolist() == [words.special["cls"], *whole[-7:]]


def test_turns_are_tokenised_as_the_whole_text_is():
    turns = ["Oh my God, you're here!", "I am. So?", "It's 9 o'clock."]
    whole = " ".join(f"<s{party}> {text}" for party, text in zip((1, 2, 1), turns, strict=True))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    known = {"cls_token": "<s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(special_tokens=list(known.values()), initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([whole], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **known)
    tokens = MemoryPacker(Words.pretrained(fast, 512, ("cls",)), 512).pack_texts([turns], [[0, 1, 0]])
    assert tokens.context.ids[-1].tolist() == [0, *tokenizer.encode(whole).ids]


def test_nobody_remembers_anything(corpus):
    torch.manual_seed(0)
    model = CoMPM(CoMPMConfig(**CoMPM.small), make_task(corpus)).eval()
    dialogue = min(corpus.split("train"), key=len)
    assert len(dialogue) == 1
    batch = collate(corpus, [dialogue], model.modalities, model.text_packer())
    output = model(batch)
    expected = model.classifier(first(model.context, batch.tokens.context))
    assert torch.equal(batch.flat(output.logits), expected)
    objective(model, output)[0].backward()
    assert all(not p.grad.any() for part in (model.memory, model.track) for p in part.parameters())


@pytest.mark.parametrize("memory", ["trained", "frozen", "scratch"])
def test_kinds_of_memory(corpus, save_backbone, memory):
    torch.manual_seed(0)
    sizes = {"vocab_size": 8, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    roberta = RobertaConfig(**sizes, intermediate_size=8, max_position_embeddings=34, pad_token_id=1)
    folder = save_backbone(RobertaModel(roberta, add_pooling_layer=False))
    model = CoMPM(CoMPMConfig(backbone=folder, max_tokens=32, memory=memory), make_task(corpus))
    weights = (part.state_dict() for part in (model.context, model.memory))
    assert (memory != "scratch") == all(torch.equal(*pair) for pair in zip(*(w.values() for w in weights), strict=True))
    pretrained = {id(parameter) for parameter in model.encoder_parameters()}
    assert {id(p) for p in model.context.parameters()} <= pretrained
    assert (memory != "scratch") == ({id(p) for p in model.memory.parameters()} <= pretrained)
    batch = collate(corpus, corpus.split("train"), model.modalities, model.text_packer())
    objective(model, model(batch))[0].backward()
    without = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert without == ({f"memory.{n}" for n, _ in model.memory.named_parameters()} if memory == "frozen" else set())
