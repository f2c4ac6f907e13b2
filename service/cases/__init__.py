"""Cases: what somebody gathers about a question, and takes along as a signed export without the bystanders."""

from service.cases.case import Case, CaseState, Member, Note, Pin, PinKind
from service.cases.export_job import Export, ExportState
from service.cases.export_store import ExportStore
from service.cases.exporter import Exporter
from service.cases.store import CaseClosed, CaseConflict, CaseFull, CaseMissing, CaseStore, PinGone

__all__ = [
    "Case",
    "CaseClosed",
    "CaseConflict",
    "CaseFull",
    "CaseMissing",
    "CaseState",
    "CaseStore",
    "Export",
    "ExportState",
    "ExportStore",
    "Exporter",
    "Member",
    "Note",
    "Pin",
    "PinGone",
    "PinKind",
]
