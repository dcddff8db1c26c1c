"""The data doctor: everything that can be wrong with a corpus that keeps the contract, each with a verdict."""

from dferc.corpus.doctor.check import Check, Verdict
from dferc.corpus.doctor.examination import Examination, examine

__all__ = ["Check", "Examination", "Verdict", "examine"]
