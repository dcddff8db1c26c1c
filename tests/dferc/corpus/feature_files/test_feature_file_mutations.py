"""Whatever is put in the place of whatever part of a feature file, there is a corpus or one clear refusal."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dferc.corpus.importers.feature_files import import_feature_files
from dferc.errors import UserError

LAYOUTS = ["mmgcn-iemocap", "mmgcn-meld", "cosmic-meld", "dualgats-iemocap", "corect-iemocap", "multiemo-meld"]
JUNK = [
    None, True, -1, 1.5, float("nan"), 2**62, "", "x", "M", b"x", [], (), {}, {1}, [[]], [None], ["a"], [1, 2], {1: 2},
    {"a": [1]}, {0: [np.zeros(768)]}, {"Ses01F_impro01": [None]}, [{}], [[{}]], np.zeros(3), np.zeros((2, 2)),
    np.zeros(0), np.array(1.0), np.array([None, 1], dtype=object), np.array(["a"]),
]  # fmt: skip


@st.composite
def mutated(draw, content, depth=0):
    """The content with one part, at any depth, replaced, dropped or doubled."""
    change = draw(st.sampled_from(["inside", "inside", "inside", "replace", "drop"]))
    if depth == 3 or change == "replace" or not isinstance(content, list | tuple | dict) or not content:
        return draw(st.sampled_from(JUNK))
    items = dict(content) if isinstance(content, dict) else dict(enumerate(content))
    place = draw(st.sampled_from(list(items)))
    part = items.pop(place)
    if change == "inside":
        items[place] = draw(mutated(part, depth + 1))
    ordered = [items[key] for key in sorted(items, key=str)] if not isinstance(content, dict) else items
    return tuple(ordered) if isinstance(content, tuple) else ordered


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutations_end_in_a_corpus_or_one_refusal(data, writer, tmp_path_factory):
    _, contents = writer.make(data.draw(st.sampled_from(LAYOUTS)), lengths=[1, 2, 1, 1, 2, 1, 1])
    name = data.draw(st.sampled_from(list(contents)))
    contents[name] = data.draw(mutated(contents[name]))
    paths = writer.write(tmp_path_factory.mktemp("files"), contents, protocol=4)
    try:
        import_feature_files(paths)
    except UserError as refusal:
        message = str(refusal)
    else:
        message = ""
    assert len(message) < 5000
