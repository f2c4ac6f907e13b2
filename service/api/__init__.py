"""The REST API: one noun a file, problem documents for every error, a gate in front of all of it."""

from service.api.app import create_app
from service.api.services import Services, build_services

__all__ = ["Services", "build_services", "create_app"]
