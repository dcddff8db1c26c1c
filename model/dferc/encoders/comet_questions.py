"""What a COMET is asked about a transcript: one question a relation, as sub-tokens."""

from collections.abc import Sequence
from typing import Any

from dferc.errors import UserError


class Questions:
    """Asks every relation of a text. What reads like a special token in a text is text (``split_special_tokens``)."""

    def __init__(self, tokenizer: Any, template: str, relations: Sequence[str], longest: int) -> None:
        """Prepare to ask.

        Args:
            tokenizer: of the transformers library.
            template: the question, with ``{text}`` and ``{relation}`` once each.
            relations: names that the model was trained with.
            longest: most sub-tokens of a question; the text is cut, never the relation.

        Raises:
            UserError: the questions leave no room for any text.
        """
        self._tokenizer, self._longest = tokenizer, longest
        begin, end = _markers(tokenizer, relations[0])
        before, after = template.split("{text}")
        self._space = before[len(before.rstrip()) :]
        self._frames = [
            ([*begin, *self._ids(_filled(before.rstrip(), name))], [*self._ids(_filled(after, name)), *end])
            for name in relations
        ]
        self._room = longest - max(len(front) + len(back) for front, back in self._frames)
        if self._room < 1:
            raise UserError(
                f"max_tokens = {longest} leaves no room for text: the question takes {longest - self._room}"
            )

    def of(self, text: str) -> list[list[int]]:
        """Sub-tokens of the questions, in the order of the relations."""
        ids = self._ids(self._space + text, split_special_tokens=True)[: self._room]  # a space belongs to its word
        return [[*front, *ids, *back] for front, back in self._frames]

    def _ids(self, text: str, **options: bool) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, **options)["input_ids"]
        return ids


def _filled(template: str, relation: str) -> str:
    return template.replace("{relation}", relation)


def _markers(tokenizer: Any, word: str) -> tuple[list[int], list[int]]:
    """Special sub-tokens that belong before and behind a sequence."""
    plain, marked = (tokenizer(word, add_special_tokens=special)["input_ids"] for special in (False, True))
    begin = next(i for i in range(len(marked) + 1) if marked[i : i + len(plain)] == plain)
    return marked[:begin], marked[begin + len(plain) :]
