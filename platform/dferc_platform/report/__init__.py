"""Reports: what a study found, as an HTML page, figures, tables and a summary for programs, from its folder alone."""

from pathlib import Path

from dferc.errors import UserError
from dferc_platform import storage
from dferc_platform.report.comparison import read_comparison
from dferc_platform.report.comparison_report import comparison_report
from dferc_platform.report.html import Report, publish
from dferc_platform.report.runs import open_study
from dferc_platform.report.search_report import search_report
from dferc_platform.report.sensitivity_report import sensitivity_report
from dferc_platform.report.training_report import training_report
from dferc_platform.results import read_study

__all__ = ["write_report"]

KINDS = {"beta": sensitivity_report, "sweep": search_report, "train": training_report}


def write_report(study_folder: Path) -> Path:
    """Write ``report/`` into the folder of a study, anew, also where its URI names; the path of its page.

    Raises:
        UserError: the folder holds no study, the study is of a kind that has no report, or no run has finished.
    """
    if read_study(study_folder).kind == "comparison":
        return _write(comparison_report(read_comparison(study_folder)), study_folder)
    runs = open_study(study_folder)
    if runs.study.kind not in KINDS:
        raise UserError(
            f"study {runs.study.name} is of kind {runs.study.kind!r}; there are reports of {', '.join(KINDS)}"
        )
    return _write(KINDS[runs.study.kind](runs), study_folder)


def _write(report: Report, study_folder: Path) -> Path:
    page = publish(report, Path(study_folder) / "report")
    storage.publish(page.parent)
    return page
