"""Search spaces: what a sweep varies, how it chooses, when it stops. YAML files, one a question asked."""

from dferc_platform.spaces.check import check_space, space_problems
from dferc_platform.spaces.reading import read_space, space_names
from dferc_platform.spaces.space import Budget, SamplerConfig, SchedulerConfig, SearchSpace

__all__ = [
    "Budget", "SamplerConfig", "SchedulerConfig", "SearchSpace",
    "check_space", "read_space", "space_names", "space_problems",
]  # fmt: skip
