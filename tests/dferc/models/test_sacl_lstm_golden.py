"""SACL-LSTM against numbers of its release: states, probabilities, losses and gradients, clean and under attack."""

import json
import re

import torch
from torch.func import functional_call

from dferc.models import objective
from dferc.models.sacl_lstm import SaclLSTM, SaclLSTMConfig

GOLDEN = ("sacl-lstm*.safetensors",)
RECURRENT = {"situation_lstm": "perception.situation", "speaker_lstm": "perception.speaker.recurrent"}
CONTRASTED = {"concatenated LSTM states before ReLU": "states", "log-probabilities": "log_probabilities"}


def names(golden):
    """Their parameters to ours."""
    found = {}
    for theirs in golden.group("param."):
        part, leaf = theirs.split(".")
        if part in RECURRENT:
            layer = leaf.split("_l")[1][0]
            found[theirs] = f"{RECURRENT[part]}.layers.{layer}.{leaf.replace(f'_l{layer}', '_l0')}"
        else:
            found[theirs] = theirs
    return found


def released(golden, padding):
    """The model with the file's weights, in evaluation, and the file's batch."""
    options = golden.options
    attacked = re.search(
        r"of layer (\d+), both directions, of (both|the situation|the speaker) LSTM", options["attacked"]
    )
    config = SaclLSTMConfig(
        standardise=False,
        lstm_hidden=golden.number("lstm_width_per_direction"),
        lstm_layers=golden.number("lstm_layers"),
        least_turns=int(re.search(r"fewer than (\d+) utterances", options["minimum_turns"])[1]),
        dropout=0.0,
        focal_gamma=float(options["gamma"]),
        contrast_on=CONTRASTED[options["contrast_on"]],
        contrast_weight=float(options["contrast_weight"]),
        temperature=float(options["temperature"]),
        epsilon=float(options["epsilon"]),
        adversarial_contrast_weight=float(options["contrast_weight_adversarial"]),
        attacked_layer=int(attacked[1]),
        attack=attacked[2].removeprefix("the "),
        reduction="sum",
        padding=padding,
    )
    model = SaclLSTM(config, golden.task({"text": golden.number("feature_width")})).eval()
    golden.load(model, names(golden))
    if options["class_weights"] != "ones":
        model.class_weight.copy_(torch.tensor(json.loads(options["class_weights"])))
    return model, golden.batch({"text": golden.tensors["input.features"]})


def assert_losses(golden, model, losses, name, ours=""):
    """Both losses are the file's, whose contrast is not yet times the utterances, and so is what they add up to."""
    utterances = len(golden.tensors["input.labels"])
    shares = {part: losses[ours + part].share() for part in ("classification", "contrastive")}
    weight = model.train().loss_weights()[f"{ours}contrastive"]
    golden.close(shares["classification"], f"{name}.classification")
    golden.close(shares["contrastive"] / utterances, f"{name}.contrastive")
    golden.close(shares["classification"] + weight * shares["contrastive"], name)


def test_one_dialogue_at_a_time_reproduces_the_release(golden):
    model, batch = released(golden, "exact")
    golden.close(torch.log_softmax(batch.flat(model(batch).logits), -1), "output.unpadded.log_probs")


def test_without_attack_reproduces_the_release(golden):
    model, batch = released(golden, "released")
    golden.close(torch.cat(model.perception(model.inputs.joined(batch), batch), -1), "output.concatenated_states")
    output = model(batch)
    golden.close(torch.log_softmax(batch.flat(output.logits), -1), "output.log_probs")
    total, _ = objective(model, output)
    golden.close(total, "output.loss")
    total.backward()
    golden.same_gradients(model, names(golden), "grad_clean.")
    assert_losses(golden, model, output.losses, "output.loss")


def test_under_attack_reproduces_the_release(golden):
    model, batch = released(golden, "released")
    weights = model.attacked_weights(model(batch))
    states = torch.cat(functional_call(model.perception, weights, (model.inputs.joined(batch), batch)), -1)
    golden.close(torch.log_softmax(model.classifier(torch.relu(states)), -1), "output.adversarial.log_probs")

    output = model.train()(batch)
    assert_losses(golden, model, output.losses, "output.adversarial.loss", "adversarial_")
    objective(model, output)[0].backward()
    golden.same_gradients(model, names(golden))
