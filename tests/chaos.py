"""Kill -9 of Redis, API and worker at random, under load, and count what was promised.

    python -m tests.chaos [--kills 50] [--seed 1] [--json]

Ends with 1 when anything that was acknowledged is missing or there twice, or the audit chain does not verify.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import structlog

from tests.support.chaos import run_chaos


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with tempfile.TemporaryDirectory(prefix="tapetum-chaos-") as folder:
        account = run_chaos(Path(folder), options.kills, options.seed, lambda line: print(line, file=sys.stderr))
    if options.json:
        print(json.dumps(account.to_dict(), indent=2))
    else:
        for name, value in account.to_dict().items():
            print(f"{name:20}{value}")
    return int(bool(account.lost or account.duplicates or account.audit_chain != "intact"))


if __name__ == "__main__":
    sys.exit(main())
