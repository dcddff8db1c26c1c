"""From recordings to a corpus: dialogues stream through Ray workers, and what is finished stays so.

Nothing is imported here: workers import only what they need.
"""
