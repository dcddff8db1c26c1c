"""DialogueGCN against numbers of its release: edges, states, probabilities, loss, gradients; and its other forms."""

from itertools import pairwise

import pytest
import torch

from dferc.corpus import collate
from dferc.layers.graphs import window
from dferc.models import objective
from dferc.models.dialogue_gcn import DialogueGCN, DialogueGCNConfig
from dferc.training import make_task

GOLDEN = ("dialogue-gcn*.safetensors",)
KINDS = {"released": ("output.", "grad."), "exact": ("output.unpadded.", "grad_unpadded.")}


def names(golden):
    """Their parameters to ours."""
    found = {}
    for theirs in golden.group("param."):
        part, leaf = theirs.split(".", 1)
        if part == "context_lstm":
            layer = leaf.split("_l")[1][0]
            found[theirs] = f"context.layers.{layer}.{leaf.replace(f'_l{layer}', '_l0')}"
        elif part == "dialogue_attention":
            found[theirs] = f"attention.transform.{leaf}"
        else:
            found[theirs] = theirs.replace("graph.self", "graph.own")
    return found


def model_of(golden, padding):
    """Ours, with the file's sizes, weights and class weights."""
    reach = {side: golden.number(f"window_{side}") for side in ("past", "future")}
    config = DialogueGCNConfig(
        standardise=False,
        context_hidden=golden.number("lstm_width_per_direction"),
        context_layers=len(golden.group("param.context_lstm.weight_ih_")) // 2,
        graph_hidden=golden.number("graph_width"),
        bases=golden.tensors["param.relation.bases"].shape[0],
        window_past=None if reach["past"] < 0 else reach["past"],
        window_future=None if reach["future"] < 0 else reach["future"],
        positions=golden.number("edge_attention_rows"),
        parties=golden.number("parties"),
        nodal_attention="param.dialogue_attention.weight" in golden.tensors,
        padding=padding,
    )
    model = DialogueGCN(config, golden.task({"text": golden.number("feature_width")})).eval()
    golden.load(model, names(golden))
    model.class_weight.copy_(golden.tensors["input.class_weights"])
    return model


@pytest.mark.parametrize("padding", KINDS)
def test_reproduces_the_release(golden, padding):
    outputs, gradients = KINDS[padding]
    model = model_of(golden, padding)
    batch = golden.batch({"text": golden.tensors["input.features"]})
    output = model(batch)
    golden.close(torch.log_softmax(batch.flat(output.logits), -1), outputs + "log_probs")
    total, _ = objective(model, output)
    golden.close(total, outputs + "loss")
    total.backward()
    golden.same_gradients(model, names(golden), gradients)


def test_reproduces_the_graph_of_the_release(golden):
    model = model_of(golden, "released")
    batch = golden.batch({"text": golden.tensors["input.features"]})
    states = model.context(model.inputs.joined(batch), batch)
    first, second = model.convolved(states, batch)
    golden.close(states, "output.context_states")
    golden.close(first, "output.after_relation_convolution")
    golden.close(second, "output.after_graph_convolution")

    dialogue, source, target = window(batch.mask, model.config.window_past, model.config.window_future).nonzero().T
    number = batch.padded(torch.arange(len(batch.valid)))
    assert torch.equal(number[dialogue, source], golden.tensors["output.edge_source"])
    assert torch.equal(number[dialogue, target], golden.tensors["output.edge_target"])
    golden.close(model.edges(states, batch)[dialogue, source, target], "output.edge_weight")


PAPER = DialogueGCN.small | {"equations": "paper"}


def paper_model(corpus, **changes):
    torch.manual_seed(0)
    return DialogueGCN(DialogueGCNConfig(**PAPER | changes), make_task(corpus)).eval()


def test_the_equations_of_the_paper(corpus):
    """Against the equations, written out for one target after another."""
    model = paper_model(corpus)
    batch = collate(corpus, corpus.split("train"), model.modalities)
    states = torch.randn(len(batch.valid), 8)
    first, second = model.convolved(states, batch)
    relation, graph = model.relation, model.graph
    matrices = torch.einsum("rk,kio->rio", relation.coefficients, relation.bases)
    starts = [0, *batch.lengths.cumsum(0).tolist()]
    speakers = batch.flat(batch.speakers).tolist()
    for start, stop in pairwise(starts):
        ours = []
        for j in range(start, stop):
            near = range(max(start, j - 2), min(stop, j + 2))
            weights = torch.softmax(torch.stack([states[i] @ model.edge_attention(states[j]) for i in near]), 0)
            kinds = {i: 2 * (3 * speakers[i] + speakers[j]) + (i > j) for i in near if i != j}
            own = weights[near.index(j)]
            value = own * states[j] @ relation.self_weight + relation.bias
            for i, kind in kinds.items():
                value = value + weights[near.index(i)] / list(kinds.values()).count(kind) * states[i] @ matrices[kind]
            ours.append(torch.relu(value))
            neighbours = sum((first[i] for i in kinds), torch.zeros_like(value)) @ graph.neighbour_weight
            torch.testing.assert_close(second[j], torch.relu(neighbours + graph.own(own * first[j])))
        torch.testing.assert_close(first[start:stop], torch.stack(ours))


@pytest.mark.parametrize("equations", ["released", "paper"])
def test_dialogues_and_people_beyond_the_sizes_of_the_release(corpus, equations):
    """Longer dialogues and more people than there are rows for share the last one's, without an error."""
    model = paper_model(corpus, equations=equations, positions=2, parties=1, window_past=None, window_future=None)
    batch = collate(corpus, corpus.split("train"), model.modalities)
    assert model(batch).logits.isfinite().all()
