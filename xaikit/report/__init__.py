"""Results as documents that stand alone: no network, browser or script is needed to make or to read them."""

from xaikit.report._atlas import Atlas, write_atlas
from xaikit.report._collect import Explained, Explanations, Failure, collect
from xaikit.report._folder import free
from xaikit.report._layers_page import write_layers_page
from xaikit.report._model_page import write_model_page
from xaikit.report._names import distinct, named, safe, stem
from xaikit.report._page import write_page
from xaikit.report._report import Written, write_report
from xaikit.report._study import is_study
from xaikit.report._study_report import FORMATS, StudyReport, write_study_report

__all__ = [
    "FORMATS",
    "Atlas",
    "Explained",
    "Explanations",
    "Failure",
    "StudyReport",
    "Written",
    "collect",
    "distinct",
    "free",
    "is_study",
    "named",
    "safe",
    "stem",
    "write_atlas",
    "write_layers_page",
    "write_model_page",
    "write_page",
    "write_report",
    "write_study_report",
]
