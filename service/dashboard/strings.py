"""Every word of the dashboard, in one place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

TITLE: Final = "Tapetum"
LOG_OUT: Final = "Log out"
WHO: Final = "{account}, {role}"
ROLES: Final = {"viewer": "viewer", "operator": "operator", "admin": "administrator"}
NOT_ALLOWED: Final = "Your account may not do this."
NOT_RECORDED: Final = "The audit log cannot be written, so this was not done. Try again shortly."
CAMERAS: Final = "Cameras"
SIGHTINGS: Final = "{count} sightings"
MODEL_LOADING: Final = "Photo search is starting"
MODEL_FAILED: Final = "Photo search is not available. The log of the service says why."

DAY: Final = "DAY"
NIGHT: Final = "NIGHT"

PAGES: Final = "Pages"
NO_PAGE: Final = "There is nothing here for your account"
NO_PAGE_TEXT: Final = "The address may be mistyped, or your role may not include this page."
PAGE_FAILED: Final = "This page could not be shown"
PAGE_FAILED_TEXT: Final = "Reload it. If that does not help, the log of the service says why."
_KEYS: Final = (
    ("Everywhere", (("?", "this map"),)),
    ("People in a live picture", (("Tab", "next person"), ("Enter", "search for the person"))),
)
_GO: Final = {"l": "Live", "s": "Search", "u": "Subjects", "w": "Alerts", "c": "Cases", "y": "System", "p": "Users"}


def tools(places: Sequence[str]) -> dict[str, Any]:
    """Of the tool bar; `places` are the keys of the pages that there are for the account."""
    going = [[f"g {key}", _GO.get(key, "Audit")] for key in places]
    return {
        "title": "Keyboard",
        "to_light": "Light colours",
        "to_dark": "Dark colours",
        "close": CLOSE,
        "single_keys": "Single keys do something (switch off if you dictate)",
        "groups": [
            {"title": title, "keys": [*map(list, keys), *(going if title == "Everywhere" else [])]}
            for title, keys in _KEYS
        ],
    }


LIVE: Final = "Live"
NO_CAMERAS: Final = "No cameras yet"
NO_CAMERAS_TEXT: Final = "Add a camera's stream address to see it here and to find people in it."
NO_CAMERAS_FOR_YOU: Final = "An administrator decides which cameras your account sees."
ADD_CAMERA: Final = "Add a camera"
PEOPLE_IN: Final = "People in {camera}"
SEARCH_PERSON: Final = "Person {number} on {camera}: search for this person"
NOT_YET: Final = "Person {number} on {camera}: just came into view, not searchable yet"
BOX_READY: Final = "click to search"
BOX_NEW: Final = "just came into view"
NOT_SEARCHABLE: Final = "This person just came into view. Click again in a second or two."
STATES: Final = {
    "connecting": ("Connecting", "hourglass_empty"),
    "live": ("Live", "videocam"),
    "stalled": ("No new pictures", "pause_circle"),
    "reconnecting": ("Reconnecting", "sync"),
    "ended": ("Ended", "stop_circle"),
    "failed": ("Cannot connect", "error_outline"),
    "disabled": ("Switched off", "videocam_off"),
    "waiting": ("Waiting for a worker", "hourglass_empty"),
}

SEARCH: Final = "Search"
LOOKING_FOR: Final = "Looking for"
CLEAR: Final = "Start over"
REMOVE_EXAMPLE: Final = "Remove this example"
REASON: Final = "Reason for the search"
ADD_EXAMPLE: Final = "Add to the search"
SEARCH_THIS: Final = "Search with this one"
START_HINT: Final = "Click a person in a live picture or a sighting below, or drop a photo of the person."
LATEST: Final = "Latest sightings"
NO_SIGHTINGS: Final = "Nobody has been seen yet"
NO_SIGHTINGS_TEXT: Final = "Sightings appear here about two seconds after a person comes into view."
SEARCHING: Final = "Searching"
FOUND: Final = "{count} most similar, of {searched} sightings in the gallery"
NOTHING: Final = "Nothing to show in this scope"
NOTHING_TEXT: Final = (
    "No sighting passes these filters. That says nothing about whether the person was there: "
    "they may not have been seen, or not well enough."
)
LEFT_OUT: Final = "{count} sightings were left out because another model made them."
EVIDENCE: Final = "Ranked by similarity. A high rank is a lead, not proof of identity."
UNCALIBRATED: Final = "uncalibrated similarity"
SCORE_IS: Final = "The figure is: {kind}."
CALIBRATED: Final = "probability"
BANDS: Final = {"strong": "Strong", "possible": "Possible", "weak": "Weak"}
COSINE_TITLE: Final = "Cosine similarity of the two appearance vectors, -1 to 1"
IN_VIEW: Final = "in view"
FAILED: Final = "The search did not work: {reason}"
STORE_AWAY: Final = "The gallery's store does not answer. Live pictures may go on; searching starts again by itself."

FILTER_CAMERAS: Final = "Cameras"
ALL_CAMERAS: Final = "All cameras"
FILTER_LIGHT: Final = "Day or night"
LIGHTS: Final = {"": "Day and night", "visible": "Day only", "infrared": "Night only"}
FILTER_TIME: Final = "Time"
FILTER_LEAST: Final = "Likely"
ANY: Final = "Any"
LEAST_POSSIBLE: Final = "Possible or strong"
LEAST_STRONG: Final = "Strong only"
FILTER_ELSEWHERE: Final = "Other cameras only"
TIMES: Final = {
    0: "Any time",
    15: "Last 15 min",
    60: "Last hour",
    480: "Last 8 hours",
    1440: "Last 24 hours",
    10080: "Last 7 days",
}

PHOTO: Final = {
    "title": "Photo",
    "choose": "Choose a photo",
    "drop": "Drop, paste or choose a photo",
    "busy": "Looking for people",
    "nobody": "Nobody was found in this photo.",
    "one": "One person was found.",
    "many": "{count} people were found. Choose one.",
    "whole_image": "Nobody was detected, so the whole photo is taken for one person.",
    "whole": "Use the whole photo",
    "person": "Search for person {number}",
    "close": "Close photo",
    "too_large": "The photo is larger than what is accepted.",
    "unreachable": "Tapetum does not answer. Check the connection and try again.",
}

SIGHTING: Final = "Sighting"
SEEN: Final = "Seen"
QUALITY: Final = "Picture quality"
FRAMES: Final = "Analysed frames"
TRACK: Final = "Track"
GONE: Final = "This sighting is no longer in the gallery."
CLOSE: Final = "Close"

CAMERA_NAME: Final = "Name"
CAMERA_URL: Final = "Stream address"
CAMERA_URL_HINT: Final = "rtsp://user:password@address/path. The password is never shown again."
CAMERA_LIGHT: Final = "Day or night"
CAMERA_LIGHTS: Final = {"": "Judge every picture", "visible": "Always day", "infrared": "Always night"}
TEST: Final = "Test"
TESTING: Final = "Connecting to the camera"
TEST_OK: Final = "The camera answers"
TEST_FAILED: Final = "The camera cannot be used"
SAVE: Final = "Add camera"
SAVED: Final = "{camera} was added."
REMOVE: Final = "Remove"
REMOVE_SURE: Final = "Remove {camera}? Its sightings stay in the gallery."
REMOVED: Final = "{camera} was removed."
CANCEL: Final = "Cancel"

OLDER: Final = "Older entries"

AUDIT: Final = "Audit"
AUDIT_CHECK: Final = "Check the chain"
AUDIT_INTACT: Final = "Intact: {count} entries checked at {time}"
AUDIT_BROKEN: Final = "Not intact. Entry {number}: {reason}"
AUDIT_EVENT: Final = "What"
AUDIT_EVENTS: Final = {
    "": "Everything",
    "search": "Searches and feedback",
    "view": "Pictures looked at",
    "login": "Logins",
    "logout": "Logouts",
    "photo": "Photos sent",
    "subject": "Subjects",
    "case": "Cases",
    "watch": "Watchlists",
    "alert": "Alerts",
    "camera": "Cameras",
    "user": "Accounts",
    "token": "API tokens",
    "erase": "Erasures",
    "hold": "Legal holds",
    "retention": "Retention",
    "service": "Service starts",
    "broken": "Broken entries",
}
AUDIT_ACCOUNT: Final = "Account"
AUDIT_NOBODY: Final = "the service"
AUDIT_BY: Final = "token {token}"
AUDIT_MANY: Final = "({count})"
AUDIT_COLUMNS: Final = ("No.", "When", "What", "Who", "From", "About")
AUDIT_NOTHING: Final = "No entry fits"
AUDIT_NOTHING_TEXT: Final = "Nothing was recorded that these filters let through."

SYSTEM: Final = "System"
SYSTEM_HERE: Final = "Installation"
VERSION: Final = "Version"
STORE: Final = "Store"
GALLERY: Final = "Gallery"
INDEX_MEMORY: Final = "Index in memory"
KEPT_FOR: Final = "Kept for"
DAYS: Final = "{days} days"
FOR_EVER: Final = "until somebody removes it"
NOT_SEARCHED: Final = "Not searched"
PHOTOS_FAIL: Final = "Photo search"
MODEL: Final = "Model"
MODEL_HASH: Final = "Fingerprint"
MODEL_CARD: Final = "Model card"
NOT_CALIBRATED: Final = "Without calibration: answers carry similarities, not probabilities."
CURVES: Final = "Probability by cosine similarity"
PAIRS: Final = {"VV": "day and day", "II": "night and night", "VI": "day and night"}
ENGINES: Final = "Engines in use"
THIS_SERVICE: Final = "this service"
ENGINE_COLUMNS: Final = ("Where", "For", "Engine", "Device", "Precision", "Threads", "Model")
DELIVERY: Final = "Workers and their queues"
NO_WORKERS: Final = "No worker has reported lately."
DELIVERY_COLUMNS: Final = ("Worker", "Waiting", "Oldest", "Delivered", "Again", "Set aside", "Store away for")
CAMERA_COLUMNS: Final = (
    "Camera",
    "State",
    "Analysed/s",
    "Decoded/s",
    "Delay, p95",
    "Sightings",
    "Frames not analysed",
    "Reconnects",
    "Not indexed",
    "Clock",
)
