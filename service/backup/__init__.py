"""One archive of everything an installation knows, and the way back from it."""

from service.backup.archive import BackupError
from service.backup.manifest import Manifest
from service.backup.restore import Restored, restore
from service.backup.writer import write_backup

__all__ = ["BackupError", "Manifest", "Restored", "restore", "write_backup"]
