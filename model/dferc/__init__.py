"""The science: what a conversation corpus is, models of emotion recognition in it, how they learn and are scored."""

__version__ = "0.1.0"
