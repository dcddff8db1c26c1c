"""DialogueRNN against numbers of its release: states, attentions, probabilities, loss and every gradient."""

import json

import torch

from dferc.models import objective
from dferc.models.dialogue_rnn import DialogueRNN, DialogueRNNConfig

GOLDEN = ("dialogue-rnn*.safetensors",)


def names(golden):
    """Their parameters to ours."""
    ours = {"both": "recurrence", "dialogue_attention": "attention.transform"}
    found = {}
    for theirs in golden.group("param."):
        part, rest = theirs.split(".", 1)
        found[theirs] = f"{ours.get(part, part)}.{rest}"
    return found


def model_of(golden):
    config = DialogueRNNConfig(
        standardise=False,
        global_width=golden.number("global_width"),
        party_width=golden.number("party_width"),
        emotion_width=golden.number("emotion_width"),
        hidden=2 * golden.number("hidden_half_width"),
        context_attention=golden.options["context_attention"],
        active_listener=golden.options["listener_state"] == "True",
        attention=golden.options["dialogue_attention"] == "general2",
    )
    model = DialogueRNN(config, golden.task({"text": golden.number("feature_width")})).eval()
    golden.stack(["forward", "backward"], "both")
    golden.load(model, names(golden))
    model.class_weight.copy_(torch.tensor(json.loads(golden.options["class_weights"])))
    return model


def test_reproduces_the_release(golden):
    model = model_of(golden)
    batch = golden.batch({"text": golden.tensors["input.features"]})
    lengths = batch.lengths.tolist()

    states, context = model.recurrence(model.inputs.joined(batch), batch)
    forward, backward = states.chunk(2, dim=-1)
    golden.close(forward, "output.emotion_states_forward")
    in_steps = torch.cat([part.flip(0) for part in backward.split(lengths)])
    golden.close(in_steps, "output.emotion_states_backward_reversed_time")
    tables = {"context_attention_forward": context[0]}
    if model.attention is not None:
        tables["dialogue_attention"] = model.attention(states, batch)[1]
    for name, table in tables.items():
        for i, length in enumerate(lengths):
            golden.close(table[i, :length, :length], f"output.{name}.{i}")

    output = model(batch)
    golden.close(torch.log_softmax(batch.flat(output.logits), -1), "output.log_probs")
    total, _ = objective(model, output)
    golden.close(total, "output.loss")
    total.backward()
    golden.same_gradients(model, names(golden))
