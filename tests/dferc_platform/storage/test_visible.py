"""A folder that only the driver sees."""

import pytest

from dferc.errors import UserError
from dferc_platform.storage import require_visible, visible


def test_a_folder_that_is_not_here_is_refused_with_its_machine(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(visible, "SECONDS", 0.0)
    folder = tmp_path / "study"
    with pytest.raises(UserError, match=f"does not see {folder} as the driver sees it: give --results a folder"):
        require_visible(folder, folder.is_dir)


def test_a_folder_that_appears_late_is_waited_for(tmp_path) -> None:
    looks = iter([False, True])
    require_visible(tmp_path, lambda: next(looks))
