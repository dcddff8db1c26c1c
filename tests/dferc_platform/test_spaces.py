from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dferc.errors import UserError
from dferc_platform.config import make_config, with_settings
from dferc_platform.spaces import SearchSpace, check_space, read_space, space_names


class Drawn:
    """Lets Hypothesis choose the values of a trial; it likes the ends of ranges."""

    def __init__(self, data):
        self.data = data

    def suggest_float(self, name, low, high, *, step, log):
        return self.data.draw(st.floats(low, high), label=name)

    def suggest_int(self, name, low, high, *, step, log):
        return self.data.draw(st.integers(low, high), label=name)

    def suggest_categorical(self, name, choices):
        return self.data.draw(st.sampled_from(choices), label=name)


class First:
    """Takes the first choice, or the one it is told to."""

    def __init__(self, **chosen):
        self.chosen = chosen

    def suggest_float(self, name, low, high, *, step, log):
        return self.chosen.get(name, low)

    def suggest_int(self, name, low, high, *, step, log):
        return self.chosen.get(name, low)

    def suggest_categorical(self, name, choices):
        return self.chosen.get(name, choices[0])


def space_of(parameters, **rest):
    content = {"model": "df_erc", "description": "a test", "budget": {"trials": 3}, "parameters": parameters}
    return SearchSpace.model_validate(content | rest)


def problems_of(space, **config):
    with pytest.raises(UserError) as caught:
        check_space(space, make_config(config))
    return str(caught.value)


@pytest.mark.parametrize("name", space_names())
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_every_point_of_every_shipped_space_makes_a_valid_config(name, data):
    space = read_space(name)
    base = space.base(make_config({"model_name": space.model}))
    config = with_settings(base, space.suggest(Drawn(data)))
    assert config.score_test == space.score_test


def test_the_shipped_spaces_search_what_they_say():
    assert {"df_erc", "beta_sensitivity", "smoke"} <= set(space_names())
    searched = set(read_space("df_erc").parameters)
    assert searched >= {
        "modality_temperature", "utterance_temperature", "modality_contrast_weight", "utterance_contrast_weight",
        "confidence_weight", "prototype_weight", "beta", "learning_rate", "dropout", "context_input_dropout",
        "context_recurrent_dropout", "context_weight",
    }  # fmt: skip
    points = read_space("beta_sensitivity").points()
    assert len({point["beta"] for point in points}) >= 5
    assert len({point["seed"] for point in points}) >= 3


def test_all_problems_of_a_file_are_named_at_once(tmp_path: Path):
    file = tmp_path / "bad.yaml"
    file.write_text("""
model: df_erc
description: everything wrong
metric: test/weighted_f1
colour: blue
sampler: {name: tpe, sede: 3}
scheduler: {name: asha, grace_epochs: 50}
settings: {betta: 1}
parameters:
  beta: {kind: float, low: 1, high: 0, log: true}
  no_such_thing: {kind: float, low: 0, high: 1}
  dropout: {kind: float, low: 0, high: 1}
  align: {kind: uniform, low: 1}
""")
    with pytest.raises(UserError) as caught:
        read_space(file)
    text = str(caught.value)
    assert text.startswith(f"{file} has 10 problems:")
    for part in (
        "colour is unknown",
        "sampler.sede is unknown",
        "parameters.align",
        "settings.betta: betta is no setting of df_erc or its training; did you mean beta?",
        "parameters.beta: low = 1.0 must be below high = 0.0",
        "parameters.no_such_thing: no_such_thing is no setting of df_erc",
        "parameters.dropout: model.dropout = 1.0: input should be less than 1",
        "the test split never chooses",
        "budget: give trials, minutes or both",
        "scheduler.grace_epochs = 50 must be below epochs = 20",
    ):
        assert part in text


FLOAT = {"kind": "float", "low": 0.1, "high": 0.5}


@pytest.mark.parametrize(
    ("parameters", "rest", "said"),
    [
        ({"beta": {**FLOAT, "low": 0.0, "log": True}}, {}, "low = 0.0 must be above 0 on a log scale"),
        ({"beta": {**FLOAT, "log": True, "step": 0.1}}, {}, "log and step exclude each other"),
        ({"beta": {**FLOAT, "step": -0.1}}, {}, "step = -0.1 must be above 0"),
        ({"beta": FLOAT}, {"settings": {"beta": 0.1}}, "is varied and fixed at once"),
        ({"seed": {"kind": "int", "low": 0, "high": 3}}, {}, "parameters.seed: is not for a search"),
        ({"beta": FLOAT}, {"settings": {"seed": 3}}, "settings.seed: give a grid --seeds"),
        ({"beta": FLOAT}, {"seeds": [0, 1]}, "a sampled search runs with one seed"),
        ({"beta": FLOAT}, {"sampler": {"name": "grid"}, "budget": {}}, "a grid needs `step`"),
        ({"beta": {**FLOAT, "step": 0.1}}, {"sampler": {"name": "grid"}}, "a grid runs all its points"),
        ({"hidden": {**FLOAT, "low": 8.0, "high": 16.5}}, {}, "model.hidden = 16.5: input should be a valid integer"),
        ({"context": {"kind": "categorical", "choices": ["full", "wild"]}}, {}, "model.context = 'wild'"),
        ({"context": {"kind": "categorical", "choices": ["full", "full"]}}, {}, "holds 'full' more than once"),
        ({"beta": {**FLOAT, "when": {"prototypes": ["ema"]}}}, {}, "there is no parameter prototypes"),
        ({"epochs": {"kind": "int", "low": 5, "high": 9}}, {"scheduler": {"name": "asha"}}, "compares trials at equal"),
        ({"beta": FLOAT}, {"metric": "validation/speed"}, "known are validation/weighted_f1"),
        ({"beta": FLOAT}, {"settings": {"protocol": "published"}}, "a search needs protocol strict"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(parameters, rest, said):
    assert said in problems_of(space_of(parameters, **rest))


def test_a_space_of_another_model_is_refused_before_anything_else():
    assert "but the config to vary is one of df_erc" in problems_of(space_of({"beta": FLOAT}, model="bc_lstm"))


def test_settings_that_exclude_each_other_are_found_by_trying_points():
    both = {
        "prototypes": {"kind": "categorical", "choices": ["cumulative", "batch"]},
        "consistency": {"kind": "categorical", "choices": ["pairwise", "prototype"]},
    }
    fixed = {"settings": {"prototypes": "cumulative"}}
    assert "prototypes that outlast a batch" in problems_of(space_of(both))
    check_space(space_of({"consistency": both["consistency"]}, **fixed), make_config({}))
    both["consistency"]["when"] = {"prototypes": ["cumulative"]}
    check_space(space_of(both), make_config({}))


CONDITIONAL = {
    "fixed_context": {"kind": "float", "low": 0.0, "high": 2.0, "when": {"context": ["fixed"]}},
    "context": {"kind": "categorical", "choices": ["refusion", "fixed"]},
}


def test_conditional_parameters_are_part_of_a_trial_only_where_their_condition_holds():
    space = space_of(CONDITIONAL)
    check_space(space, make_config({}))
    assert space.suggest(First()) == {"context": "refusion"}
    assert space.suggest(First(context="fixed")) == {"context": "fixed", "fixed_context": 0.0}


def test_conditions_that_wait_for_each_other_are_refused():
    circle = {**CONDITIONAL, "context": {**CONDITIONAL["context"], "when": {"fixed_context": [1.0]}}}
    assert "which waits for" in problems_of(space_of(circle))


def test_a_grid_has_every_point_once_and_all_of_them_with_each_seed():
    parameters = {**CONDITIONAL, "fixed_context": {**CONDITIONAL["fixed_context"], "step": 1.0}}
    space = space_of(parameters, sampler={"name": "grid"}, budget={}, seeds=[4, 7])
    points = [
        {"context": "refusion"},
        {"context": "fixed", "fixed_context": 0.0},
        {"context": "fixed", "fixed_context": 1.0},
        {"context": "fixed", "fixed_context": 2.0},
    ]
    assert space.points() == [{**point, "seed": seed} for seed in (4, 7) for point in points]


def test_a_name_that_is_not_shipped_names_those_that_are():
    with pytest.raises(UserError, match=r"shipped are .*beta_sensitivity.*df_erc"):
        read_space("df_ercc")
    with pytest.raises(UserError, match=r"there is no file .*mine\.yaml"):
        read_space("mine.yaml")


def test_a_fixed_setting_may_be_a_list():
    """Which modalities to use, as ``--set modalities=[text]`` fixes it; the study reads its space back from JSON."""
    space = read_space("smoke")
    fixed = space.model_copy(update={"settings": {**space.settings, "modalities": ["text"]}})
    again = type(space).model_validate(fixed.model_dump(mode="json"))
    check_space(again, make_config({}))
    assert again.base(make_config({})).model.modalities == ("text",)


def test_what_the_config_decides_is_neither_varied_nor_fixed_by_the_space():
    space = space_of({**CONDITIONAL, "beta": FLOAT}, settings={"epochs": 3, "hidden": 8})
    less = space.without({"beta": 0.5, "epochs": 9})
    assert (set(less.parameters), less.settings) == ({*CONDITIONAL}, {"hidden": 8})
    met, unmet = space.without({"context": "fixed"}), space.without({"context": "refusion"})
    assert met.parameters["fixed_context"].when == {}
    assert "fixed_context" not in unmet.parameters
    for left in (less, met, unmet):
        check_space(left, make_config({}))


def test_only_a_grid_may_vary_nothing_but_the_seed():
    check_space(space_of({}, sampler={"name": "grid"}, budget={}, seeds=[0, 1]), make_config({}))
    assert "parameters: name at least one to vary" in problems_of(space_of({}))


def test_optimism_needs_a_test_score():
    check_space(space_of({"beta": FLOAT}, optimism=True, score_test=True), make_config({}))
    assert "optimism = True needs score_test = True" in problems_of(space_of({"beta": FLOAT}, optimism=True))
