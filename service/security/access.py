"""Who asks, and what they may: a role, and the cameras it is for. Everything that is read goes past it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from service.gallery import GalleryFilter

__all__ = ["Access", "AccessDenied", "Permission", "Role", "narrower", "wider_than"]


class Role(StrEnum):
    """Each may what the one before may, and more."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class Permission(StrEnum):
    """What a route or an action of the page needs. `docs/security.md` has the table for people."""

    LOGGED_IN = "logged-in"  # any login: who am I, the API's description
    OWN_ACCOUNT = "own-account"  # log out, own password, own tokens: by a session, never by a token
    VIEW = "view"  # cameras, live pictures, sightings and their pictures
    SEARCH = "search"  # with sightings as examples
    ALERTS = "alerts"  # see those of one's cameras
    PHOTOS = "photos"  # search with uploaded photos
    WATCHLISTS = "watchlists"  # make and change entries, acknowledge alerts
    SUBJECTS = "subjects"  # make and change them; seeing them is VIEW, in one's cameras
    CASES = "cases"  # make and change those one owns or is a member of; a member may see them with VIEW
    EXPORT = "export"  # of those cases
    TEST_CAMERAS = "test-cameras"  # saved ones
    MANAGE_CAMERAS = "manage-cameras"  # change, remove
    ERASE = "erase"  # sightings for good, and legal holds on them
    ADD_CAMERAS = "add-cameras"  # add, try an address
    PLANS = "plans"  # make, change and remove floor plans; seeing them is VIEW, where one's cameras stand
    WEBHOOKS = "webhooks"  # where alerts are sent to
    USERS = "users"  # accounts, and other people's tokens: by a session, never by a token
    AUDIT = "audit"
    SYSTEM = "system"  # what runs here, and its figures
    MAINTAIN = "maintain"  # bring the gallery to another model


_VIEWER = frozenset(
    {Permission.LOGGED_IN, Permission.OWN_ACCOUNT, Permission.VIEW, Permission.SEARCH, Permission.ALERTS}
)
_OPERATOR = _VIEWER | {Permission.PHOTOS, Permission.WATCHLISTS, Permission.TEST_CAMERAS}
_OPERATOR |= {Permission.SUBJECTS, Permission.CASES, Permission.EXPORT}
_MAY: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.ADMIN: frozenset(Permission),
}
# These tell of, or reach, every camera: a scope of some cameras never has them.
_OF_EVERY_CAMERA = frozenset(
    {
        Permission.ADD_CAMERAS,
        Permission.PLANS,
        Permission.WEBHOOKS,
        Permission.USERS,
        Permission.AUDIT,
        Permission.SYSTEM,
        Permission.MAINTAIN,
    }
)
# Each is a way to a login that outlives the token: a token that leaked for a day could make itself one for ever.
_NEVER_BY_TOKEN = frozenset({Permission.OWN_ACCOUNT, Permission.USERS})
_ORDER = tuple(Role)


class AccessDenied(Exception):  # noqa: N818 - a state of the world, as callers see it
    """The account's role or scope does not reach so far. Says nothing about what there is."""


@dataclass(frozen=True, slots=True)
class Access:
    """One account's rights at one moment.

    Attributes:
        cameras: ids it may see; None for all, also those to come.
        token: name of the API token that asks; None for a session.
        stamp: of the account when this was judged; it changes with every change of the account.
    """

    account: str
    role: Role
    cameras: frozenset[str] | None = None
    token: str | None = None
    stamp: str = field(default="", repr=False)

    def may(self, permission: Permission) -> bool:
        """Whether role, scope and way of logging in allow it."""
        if permission in _NEVER_BY_TOKEN and self.token is not None:
            return False
        if permission in _OF_EVERY_CAMERA and self.cameras is not None:
            return False
        return permission in _MAY[self.role]

    def require(self, permission: Permission) -> None:
        """Raises AccessDenied."""
        if not self.may(permission):
            raise AccessDenied(permission.value)

    def sees(self, camera_id: str) -> bool:
        """Whether this camera, and everything that comes from it, exists for the account."""
        return self.cameras is None or camera_id in self.cameras

    def narrowed(self, filters: GalleryFilter | None = None) -> GalleryFilter:
        """The filter, and nothing outside the scope. Cameras outside are like cameras that never were."""
        filters = filters or GalleryFilter()
        if self.cameras is None:
            return filters
        cameras = self.cameras if filters.cameras is None else self.cameras & filters.cameras
        return replace(filters, cameras=cameras)


def narrower(
    role: Role, cameras: frozenset[str] | None, other_role: Role, other_cameras: frozenset[str] | None
) -> tuple[Role, frozenset[str] | None]:
    """The lesser role, and the cameras that both have."""
    least = min(role, other_role, key=_ORDER.index)
    if cameras is None or other_cameras is None:
        return least, other_cameras if cameras is None else cameras
    return least, cameras & other_cameras


def wider_than(role: Role, cameras: Iterable[str] | None, access: Access) -> bool:
    """Whether role or cameras go beyond what an account has itself."""
    if _ORDER.index(role) > _ORDER.index(access.role):
        return True
    return access.cameras is not None and (cameras is None or not access.cameras.issuperset(cameras))
