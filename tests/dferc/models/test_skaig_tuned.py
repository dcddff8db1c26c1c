"""SKAIG with a backbone of its own: where its text vectors come from, who learns at which rate, what it may lack."""

from dataclasses import replace

import pytest
import torch
from transformers import BertConfig, BertModel

from dferc.corpus import collate
from dferc.errors import UserError
from dferc.models import objective
from dferc.models.skaig import KNOWLEDGE, Skaig, SkaigConfig
from dferc.training import TrainingConfig, backward, make_learner, make_task, step

WIDTHS = {"text": 6, "audio": 3, **dict.fromkeys(KNOWLEDGE, 5)}


def tuned(corpus, **changes):
    torch.manual_seed(0)
    return Skaig(
        SkaigConfig(**{**Skaig.small, "text_encoder": "scratch", "max_tokens": 16} | changes), make_task(corpus)
    )


def batch_of(corpus, model, dialogues=None):
    chosen = corpus.split("train") if dialogues is None else dialogues
    return collate(corpus, chosen, model.modalities, model.text_packer())


@pytest.fixture
def spoken(make_corpus):
    return make_corpus([4, 6, 3, 7, 2], WIDTHS, 0.3)


def test_gradients_reach_every_parameter_and_the_loss_falls(spoken):
    model = tuned(spoken)
    assert model.modalities == ("text", *KNOWLEDGE)
    learner = make_learner(model, TrainingConfig(learning_rate=1e-3, warmup_steps=0), 10, torch.device("cpu"))
    batch = batch_of(spoken, model)
    before = objective(model.eval(), model(batch))[0].item()
    model.train()
    backward(learner, batch)
    assert not [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    step(learner)
    assert objective(model.eval(), model(batch))[0].item() < before


def test_a_text_vector_is_the_largest_state_of_its_words_alone(spoken):
    model = tuned(spoken).eval()
    dialogues = spoken.split("train")
    batch = batch_of(spoken, model)
    vectors = model.vectors(batch)["text"]
    texts = [text for d in dialogues for text in spoken.texts[d.start : d.stop]]
    for text, vector in zip(texts, vectors, strict=True):
        ids = model.text_packer().pack_texts([[text]]).ids
        states = model.encoder.transformer(input_ids=ids).last_hidden_state[0]
        torch.testing.assert_close(vector, states.max(0).values)
    tokens = batch.tokens
    noisy = replace(tokens, ids=torch.where(tokens.mask, tokens.ids, 7))
    wider = {name: torch.nn.functional.pad(getattr(noisy, name), (0, 5)) for name in ("ids", "mask")}
    at = tokens.at // tokens.ids.shape[1] * (tokens.ids.shape[1] + 5)
    torch.testing.assert_close(
        model(replace(batch, tokens=replace(tokens, **wider, at=at))).logits, model(batch).logits
    )


def test_vectors_of_the_corpus_are_not_read(spoken, make_corpus):
    wordy = make_corpus([4, 6, 3, 7, 2], {m: w for m, w in WIDTHS.items() if m != "text"}, 0.3)
    model, other = tuned(spoken), tuned(wordy)
    assert "text" not in batch_of(spoken, model).features
    assert other.modalities == model.modalities
    assert model.state_dict().keys() == other.state_dict().keys()


def test_text_alone_is_enough_and_no_dialogue_is_a_zero(make_corpus):
    corpus = make_corpus([3, 2], {})
    model = tuned(corpus)
    assert model.modalities == ("text",)
    assert objective(model, model(batch_of(corpus, model)))[0].isfinite()
    total, _ = objective(model, model(batch_of(corpus, model, [])))
    total.backward()
    assert total.item() == 0
    assert not any(p.grad.any() for p in model.parameters() if p.grad is not None)


def test_other_modalities_stand_beside_the_text(spoken):
    model = tuned(spoken, modalities=("audio", "text"))
    assert model.input.in_features == model.encoder.width + WIDTHS["audio"]
    assert model(batch_of(spoken, model)).logits.isfinite().all()


def test_only_a_pretrained_backbone_has_a_learning_rate_of_its_own(spoken, save_backbone):
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    folder = save_backbone(BertModel(BertConfig(vocab_size=16, **sizes), add_pooling_layer=False))
    pretrained, scratch = tuned(spoken, text_encoder=folder, gradient_checkpointing=True), tuned(spoken)
    assert scratch.encoder_parameters() == []
    training = TrainingConfig(learning_rate=1e-3, encoder_learning_rate=1e-5, warmup_steps=0)
    learner = make_learner(pretrained, training, 10, torch.device("cpu"))
    own = {id(p) for p in pretrained.encoder.transformer.parameters()}
    slow = [p for g in learner.optimiser.param_groups if g["initial_lr"] == 1e-5 for p in g["params"]]
    assert {id(p) for p in slow} == own
    backward(learner, batch_of(spoken, pretrained))
    assert all(p.grad is not None for p in slow)


def test_a_backbone_without_text_is_refused(spoken):
    with pytest.raises(UserError, match="backbone reads the text, but modalities are only audio"):
        tuned(spoken, modalities=("audio",))


def test_without_a_backbone_nothing_is_packed(spoken):
    model = tuned(spoken, text_encoder=None)
    assert model.text_packer() is None
    assert model.encoder_parameters() == []
