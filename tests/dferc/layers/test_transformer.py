"""Transformer layers over dialogues, against torch's own run on one dialogue at a time."""

import torch
from torch import nn

from dferc.corpus import collate
from dferc.layers.transformer import EncoderLayer, MultiHeadAttention


def batch_of(corpus):
    return collate(corpus, corpus.split("train"), ["text"])


def copy_attention(ours: MultiHeadAttention, theirs: nn.MultiheadAttention):
    """Give torch's attention our weights."""
    width = ours.query.in_features
    maps = (ours.query, ours.key, ours.value)
    theirs.in_proj_weight.copy_(torch.cat([m.weight for m in maps]))
    theirs.in_proj_bias.copy_(torch.cat([torch.zeros(width) if m.bias is None else m.bias for m in maps]))
    theirs.out_proj.load_state_dict(ours.out.state_dict())


@torch.no_grad()
def test_attention_is_that_of_torch_on_each_dialogue(corpus):
    torch.manual_seed(0)
    ours, theirs = MultiHeadAttention(8, heads=2), nn.MultiheadAttention(8, 2, batch_first=True)
    copy_attention(ours, theirs)
    batch = batch_of(corpus)
    views = [torch.randn(len(batch.valid), 8) for _ in range(3)]
    of_dialogue = [v.split(batch.lengths.tolist()) for v in views]
    expected = torch.cat([theirs(q[None], k[None], v[None])[0][0] for q, k, v in zip(*of_dialogue, strict=True)])
    torch.testing.assert_close(ours(*views, batch), expected)


@torch.no_grad()
def test_encoder_layer_is_that_of_torch_on_each_dialogue(corpus):
    torch.manual_seed(0)
    ours = EncoderLayer(8, heads=2, feedforward=12, dropout=0.3).eval()
    theirs = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True).eval()
    copy_attention(ours.attention, theirs.self_attn)
    for mine, name in (("widen", "linear1"), ("narrow", "linear2"), ("attention_norm", "norm1"), ("norm", "norm2")):
        getattr(theirs, name).load_state_dict(getattr(ours, mine).state_dict())
    batch = batch_of(corpus)
    utterances = torch.randn(len(batch.valid), 8)
    expected = torch.cat([theirs(dialogue[None])[0] for dialogue in utterances.split(batch.lengths.tolist())])
    torch.testing.assert_close(ours(utterances, batch), expected)


def test_a_dialogue_hears_no_other(corpus):
    torch.manual_seed(0)
    attention = MultiHeadAttention(8, heads=2)
    batch = batch_of(corpus)
    utterances = torch.randn(len(batch.valid), 8, requires_grad=True)
    attention(utterances, utterances, utterances, batch)[batch.dialogue == 1].sum().backward()
    heard = utterances.grad.abs().sum(1) > 0
    assert torch.equal(heard, batch.dialogue == 1)
