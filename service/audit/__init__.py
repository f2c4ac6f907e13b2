"""Who did what: an append-only log in which every entry holds the hash of the one before."""

from service.audit.chain import Entry, Head, Verification, verify_chain
from service.audit.log import AuditLog, AuditUnavailable, Trail
from service.audit.verifier import LastVerification, Verifier
from service.audit.views import ViewNotes

__all__ = [
    "AuditLog",
    "AuditUnavailable",
    "Entry",
    "Head",
    "LastVerification",
    "Trail",
    "Verification",
    "Verifier",
    "ViewNotes",
    "verify_chain",
]
