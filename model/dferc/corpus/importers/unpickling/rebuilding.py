"""The names that a feature file may mention, and what is made in their place: never what the name stands for."""

from collections.abc import Callable
from typing import Any

from dferc.corpus.importers.unpickling import arrays, containers, tensors
from dferc.corpus.importers.unpickling.machine import Vocabulary

INERT = frozenset({*containers.FACTORIES, "builtins.object", "numpy.ndarray", "copyreg._reconstructor"})
"""Names that are only arguments of others."""
REBUILD: dict[str, Callable[..., Any]] = {
    "builtins.set": containers.make_set,
    "builtins.frozenset": containers.make_frozenset,
    "builtins.complex": containers.complex_number,
    "builtins.bytes": containers.no_bytes,
    "_codecs.encode": containers.latin1_bytes,
    "collections.OrderedDict": containers.ordered_dict,
    "collections.defaultdict": containers.default_dict,
    "numpy.dtype": arrays.dtype,
    "numpy._core.multiarray._reconstruct": arrays.reconstruct,
    "numpy._core.multiarray.scalar": arrays.scalar,
    "numpy._core.numeric._frombuffer": arrays.from_buffer,
    "torch.storage._load_from_bytes": tensors.storage,
    "torch._utils._rebuild_tensor_v2": tensors.array,
}


def vocabulary(records: frozenset[str]) -> Vocabulary:
    """What a feature file may mention, with classes whose objects become records."""
    return Vocabulary(REBUILD, INERT, records)
