"""What runs would cost, before they are launched: a few steps of the real model on the real corpus, measured."""

from dferc_platform.costs.heaviest import heaviest
from dferc_platform.costs.measure import Cost, measure
from dferc_platform.costs.probe import probe
from dferc_platform.costs.sizing import Sizes, size

__all__ = ["Cost", "Sizes", "heaviest", "measure", "probe", "size"]
