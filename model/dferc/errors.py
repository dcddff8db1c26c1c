"""One kind of error for everything that a user can mend."""

from collections.abc import Iterable


class UserError(Exception):
    """What is wrong, where, and what would be right, in one sentence; the command line prints it and exits with 2."""

    @classmethod
    def collected(cls, where: str, problems: Iterable[str]) -> "UserError":
        """All problems of one input at once, a line each."""
        listed = list(problems)
        if len(listed) == 1:
            return cls(f"{where}: {listed[0]}")
        return cls(f"{where} has {len(listed)} problems:\n" + "\n".join(f"  - {problem}" for problem in listed))
