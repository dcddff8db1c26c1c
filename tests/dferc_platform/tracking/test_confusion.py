"""The confusion page holds every count and trusts no label."""

import json
import re

from dferc_platform.tracking.confusion import confusion_page


def test_page_has_a_table_a_split_with_every_count(tmp_path):
    (tmp_path / "confusion.json").write_text(json.dumps({"validation": [[8, 2], [0, 0]], "test": [[1, 3], [4, 5]]}))
    page = confusion_page(tmp_path / "confusion.json", ["joy", "<script>alert(1)</script>"])
    assert re.findall(r">(\d+)</td>", page) == ["8", "2", "0", "0", "1", "3", "4", "5"]
    assert re.findall(r"<caption>(\w+)", page) == ["validation", "test"]
    assert "<script>" not in page
    assert "rgba(8,69,148,0.80);color:white" in page
