"""UniMSE against numbers of its release, which cover the adapters and the encoders of audio and visual alone.

The T5 around them is compared with transformers' own, called once an utterance and class as the release calls it.
"""

import pytest
import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers import models as vocabularies
from torch import nn
from torch.nn import functional as F
from transformers import (
    AutoModelForSeq2SeqLM,
    MT5ForConditionalGeneration,
    PreTrainedTokenizerFast,
    T5ForConditionalGeneration,
)
from transformers.modeling_outputs import BaseModelOutput

from dferc.corpus import collate
from dferc.encoders.backbone import load_backbone
from dferc.encoders.uni_mse_packing import PROMPT
from dferc.layers.fusion_adapter import FusionAdapter
from dferc.layers.sequence_encoder import SequenceEncoder
from dferc.models import objective
from dferc.models.uni_mse import UniMSE, UniMSEConfig
from dferc.training import TrainingConfig, make_learner, make_task, step
from dferc.training import backward as add_gradients

GOLDEN = ("unimse-adapter*.safetensors",)
SMALL = {**UniMSE.small, "past": 2, "adapter_layers": 2, "vectors_past": 0, "standardise": False}
LABELS = ("neutral", "joy", "anger", "sadness", "much confused")


class Parts(nn.Module):
    """What the golden files cover, in the sizes of a file."""

    def __init__(self, golden):
        super().__init__()
        shapes = {name: tensor.shape for name, tensor in golden.group("param.").items()}
        both = golden.options["bidirectional"] == "True"
        self.audio_encoder, self.visual_encoder = (
            SequenceEncoder(
                shapes[f"{part}.lstm.weight_ih_l0"][1],
                shapes[f"{part}.lstm.weight_hh_l0"][1],
                shapes[f"{part}.output.weight"][0],
                both,
                dropout=0.3,
            )
            for part in ("audio_encoder", "visual_encoder")
        )
        self.sequential_adapter, self.parallel_adapter = (
            FusionAdapter(states, whole - states, shapes[f"{part}.down.weight"][0])
            for part in ("sequential_adapter", "parallel_adapter")
            for states, whole in [shapes[f"{part}.output.weight"]]
        )


def names(golden):
    """Their parameters to ours."""
    found = {}
    for theirs in golden.group("param."):
        way = "back" if theirs.endswith("_reverse") else "ahead"
        found[theirs] = theirs.replace(".lstm.", f".{way}.").removesuffix("_reverse")
    return found


def test_adapters_and_encoders_reproduce_the_release(golden):
    parts = Parts(golden).eval()
    golden.load(parts, names(golden))
    given = golden.group("input.")
    audio, _ = parts.audio_encoder(given["audio_sequence"], given["audio_lengths"])
    visual, _ = parts.visual_encoder(given["visual_sequence"], given["visual_lengths"])
    golden.close(audio, "output.audio_vector")
    golden.close(visual, "output.visual_vector")

    beside = torch.cat([visual, audio], dim=-1)
    sequential = parts.sequential_adapter(given["hidden_states"], beside)
    parallel = parts.parallel_adapter(given["hidden_states"], beside, given["feed_forward_input"])
    golden.close(sequential, "output.sequential_adapter")
    golden.close(parallel, "output.parallel_adapter")

    loss = (given["probe"] * (sequential + parallel)).sum()
    golden.close(loss, "output.loss")
    loss.backward()
    golden.same_gradients(parts, names(golden))


@pytest.fixture
def conversations(make_corpus):
    return make_corpus([3, 1, 4], missing=0.3, labels=LABELS, seed=1)


@pytest.fixture
def tiny_t5(save_backbone):
    """Saves a T5 of three blocks, whose tokenizer knows the words of the tests; untied it has an output layer apart."""

    def save(tied=True, kind=T5ForConditionalGeneration):
        words = [
            "<pad>",
            "</s>",
            "<unk>",
            *f"{PROMPT[:-1]} : utterance of {' '.join(LABELS)}".split(),
            *map(str, range(9)),
        ]
        special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
        numbers = {word: number for number, word in enumerate(dict.fromkeys(words))}
        plain = Tokenizer(vocabularies.WordLevel(numbers, unk_token=special["unk_token"]))
        plain.pre_tokenizer = pre_tokenizers.Whitespace()
        torch.manual_seed(3)
        sizes = {
            "d_model": 12,
            "d_kv": 4,
            "d_ff": 16,
            "num_layers": 3,
            "num_heads": 2,
            "relative_attention_num_buckets": 8,
        }
        t5 = kind(kind.config_class(vocab_size=40, decoder_start_token_id=0, tie_word_embeddings=tied, **sizes))
        if not tied:
            t5.lm_head.weight = nn.Parameter(torch.randn(40, sizes["d_model"]))
        return save_backbone(t5, PreTrainedTokenizerFast(tokenizer_object=plain, **special))

    return save


def build(backbone, corpus, **changes):
    torch.manual_seed(0)
    model = UniMSE(UniMSEConfig(**SMALL | {"backbone": backbone} | changes), make_task(corpus)).eval()
    for module in model.modules():
        if isinstance(module, FusionAdapter):  # they start too small to be noticed
            nn.init.normal_(module.down.weight)
            nn.init.normal_(module.up.weight)
    return model


def batch_of(corpus, model):
    return collate(corpus, corpus.split("train"), model.modalities, model.text_packer())


class OneAtATime:
    """The same model around transformers' own T5: an utterance and a class name a call, no padding, no masks."""

    def __init__(self, model, backbone):
        self.model = model
        self.t5 = AutoModelForSeq2SeqLM.from_pretrained(backbone).eval()
        self.names = load_backbone(backbone, "t5", 9, ("eos",)).words.ids(LABELS)
        self.beside = None
        for stack, ours in ((self.t5.encoder, model.t5.encoder), (self.t5.decoder, model.t5.decoder)):
            for block, adapter in zip(list(stack.block)[-len(ours.adapters) :], ours.adapters, strict=True):
                block.layer[-1].register_forward_hook(self._adapted(adapter))

    def _adapted(self, adapter):
        parallel = self.model.config.adapter == "parallel"

        def hook(_, given, states):
            return adapter(states, self.beside, given[0] if parallel else None)

        return hook

    def __call__(self, batch, n, label):
        """Minus the log-likelihood of a class's name for utterance n; what the last blocks were given."""
        tokens = batch.tokens
        ids, current = (part[n][tokens.mask[n]] for part in (tokens.ids, tokens.current))
        vectors = []
        for modality, encoder in self.model.beside.encoders.items():
            vector = batch.flat(batch.features[modality])[n] * batch.flat(batch.present[modality])[n]
            vectors.append(encoder.output(encoder.ahead(vector[None, None])[0][:, 0]))
        self.beside = torch.cat([*vectors, torch.zeros(1, 0)], -1)
        read = self.t5.encoder(input_ids=ids[None], output_hidden_states=True)
        hears_all = self.model.config.decoder_hears == "window"
        heard = read.last_hidden_state if hears_all else read.last_hidden_state[:, current]
        labels = torch.tensor([[*self.names[label], 1]])
        said = self.t5(encoder_outputs=BaseModelOutput(heard), labels=labels, output_hidden_states=True)
        return said.loss * labels.numel(), read.hidden_states[-2][0], said.decoder_hidden_states[-2][0]


@pytest.mark.parametrize(
    "changes",
    [{}, {"adapter": "parallel"}, {"decoder_hears": "window"}, {"modalities": ("text",)}],
    ids=str,
)
def test_scores_are_those_of_one_call_an_utterance_and_class(conversations, tiny_t5, changes):
    same_scores(conversations, tiny_t5(), **changes)


@pytest.mark.parametrize("kind", [T5ForConditionalGeneration, MT5ForConditionalGeneration])
def test_scores_of_a_t5_whose_output_layer_is_apart(conversations, tiny_t5, kind):
    model = same_scores(conversations, tiny_t5(tied=False, kind=kind))
    assert "t5.head.weight" in model.state_dict()


def same_scores(conversations, backbone, **changes):
    """Build the model, assert that it scores as the library does, and give it."""
    model = build(backbone, conversations, **changes)
    batch = batch_of(conversations, model)
    logits = batch.flat(model(batch).logits)
    naive = OneAtATime(model, backbone)
    assert len(set(map(tuple, naive.names))) == len(LABELS)
    assert len(naive.names[-1]) == 2
    expected = [[-naive(batch, n, label)[0].item() for label in range(len(LABELS))] for n in range(len(logits))]
    torch.testing.assert_close(logits, torch.tensor(expected), rtol=1e-5, atol=1e-5)
    return model


def test_losses_are_those_of_a_plain_loop(conversations, tiny_t5):
    backbone = tiny_t5()
    model = build(backbone, conversations)
    batch = batch_of(conversations, model)
    labels = batch.flat(batch.labels)
    naive = OneAtATime(model, backbone)
    one = [naive(batch, n, label) for n, label in enumerate(labels.tolist())]
    losses = {name: term.share() for name, term in model(batch).losses.items()}
    sub_tokens = sum(len(naive.names[label]) + 1 for label in labels.tolist())
    torch.testing.assert_close(losses["classification"], sum(loss for loss, _, _ in one) / sub_tokens)

    for modality, encoder in model.beside.encoders.items():
        there = batch.flat(batch.present[modality])
        states = encoder.ahead(batch.flat(batch.features[modality])[there].unsqueeze(1))[0].squeeze(1)
        expected = 0
        for place, stack in ((1, "encoder"), (2, "decoder")):
            text = torch.stack([found[place].mean(0) for found, here in zip(one, there, strict=True) if here])
            contrast = model.contrasts[stack]
            similar = F.cosine_similarity(contrast.first(text).unsqueeze(1), contrast.second(states).unsqueeze(0), -1)
            expected = expected + F.cross_entropy(similar / 0.1, torch.arange(len(similar)))
        assert 1 < len(similar) < len(there)
        torch.testing.assert_close(losses[f"contrast_{modality}"], expected)
        assert model.loss_weights()[f"contrast_{modality}"] == 0.5


def test_the_other_objective_is_the_cross_entropy_over_classes(conversations):
    model = build("scratch", conversations, objective="discriminate")
    batch = batch_of(conversations, model)
    output = model(batch)
    expected = F.cross_entropy(batch.flat(output.logits), batch.flat(batch.labels))
    torch.testing.assert_close(output.losses["classification"].share(), expected)


def test_of_a_pretrained_t5_the_last_blocks_learn_at_the_rate_of_the_encoder(conversations, tiny_t5):
    model = build(tiny_t5(), conversations, tuned_layers=1)
    learns = {name for name, parameter in model.t5.named_parameters() if parameter.requires_grad}
    assert all(".blocks.2." in name or ".adapters." in name for name in learns)
    of_encoder = {id(parameter) for parameter in model.encoder_parameters()}
    assert {name for name, p in model.t5.named_parameters() if id(p) in of_encoder} == {
        name for name in learns if ".blocks." in name
    }
    frozen = {name: p.clone() for name, p in model.named_parameters() if not p.requires_grad}
    learner = make_learner(model.train(), TrainingConfig(warmup_steps=0), 10, torch.device("cpu"))
    add_gradients(learner, batch_of(conversations, model))
    step(learner)
    assert "t5.words.weight" in frozen
    assert all(torch.equal(p, frozen[name]) for name, p in model.named_parameters() if name in frozen)
    assert not build(tiny_t5(), conversations, tuned_layers=0).encoder_parameters()
    whole = build(tiny_t5(), conversations, tuned_layers=None)
    assert all(parameter.requires_grad for parameter in whole.parameters())


def test_states_computed_again_give_the_same_gradients(conversations):
    gradients = []
    for again in (False, True):
        model = build("scratch", conversations, gradient_checkpointing=again, dropout=0.0)
        for module in model.modules():  # in training mode, for there is nothing to compute again outside it
            module.train()
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            if hasattr(module, "layer_idx"):
                module.dropout = 0.0
        batch = batch_of(conversations, model)
        objective(model, model(batch))[0].backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-4)


def test_text_is_always_read(conversations):
    assert build("scratch", conversations, modalities=("audio",)).modalities == ("text", "audio")
    alone = build("scratch", conversations, modalities=())
    assert alone.modalities == ("text",)
    assert list(alone(batch_of(conversations, alone)).losses) == ["classification"]


def test_text_may_be_named_where_the_corpus_has_no_vectors_of_it(make_corpus):
    corpus = make_corpus([2, 1], {"audio": 3})
    config = UniMSEConfig(**SMALL | {"modalities": ("text", "audio")})
    assert UniMSE(config, make_task(corpus, config.vectors())).modalities == ("text", "audio")
