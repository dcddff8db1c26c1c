"""The science: what a conversation corpus is, the models of emotion recognition in conversation, how they learn and are scored."""

__version__ = "0.1.0"
