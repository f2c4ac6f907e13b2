"""Every word of the dashboard, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

TITLE: Final = "Tapetum"
LOG_OUT: Final = "Log out"
WHO: Final = "{account}, {role}"
LOGIN_BECAUSE: Final = {
    "ended": "You are logged out: your session ended, or your account was changed. Log in to go on where you were.",
    "password": "Your password was changed, and all your sessions and API tokens ended. Log in with the new one.",
}
ROLES: Final = {"viewer": "viewer", "operator": "operator", "admin": "administrator"}
NOT_ALLOWED: Final = "Your account may not do this."
NOT_RECORDED: Final = "The audit log cannot be written, so this was not done. Try again shortly."
CAMERA: Final = "Camera"
CAMERAS: Final = "Cameras"


def sightings(count: int) -> str:
    return "1 sighting" if count == 1 else f"{count:,} sightings"


def cameras(count: int) -> str:
    return "1 camera" if count == 1 else f"{count:,} cameras"


NOT_FOUND: Final = "Not found"
NO_SUCH_PAGE: Final = "There is no page at this address."
TO_LIVE: Final = "Go to Live"
MODEL_LOADING: Final = "Photo search is starting"
MODEL_FAILED: Final = "Photo search is not available. The log of the service says why."

DAY: Final = "DAY"
NIGHT: Final = "NIGHT"

PAGES: Final = "Pages"
TO_CONTENT: Final = "Skip to the content"
NO_PAGE: Final = "There is nothing here for your account"
NO_PAGE_TEXT: Final = "The address may be mistyped, or your role may not include this page."
PAGE_FAILED: Final = "This page could not be shown"
PAGE_FAILED_TEXT: Final = "Reload it. If that does not help, the log of the service says why."
_KEYS: Final = (
    ("Everywhere", (("?", "this map"),)),
    ("People in a live picture", (("Tab", "next person"), ("Enter", "search for the person"))),
    ("Cameras on a plan", (("← → ↑ ↓", "move it, far with Shift"), ("Del", "take it off"))),
    (
        "Sightings",
        (
            ("← → ↑ ↓", "another sighting"),
            ("Enter", "look closely"),
            ("c", "confirm"),
            ("r", "reject"),
            ("u", "unsure"),
            ("s", "search with this one"),
            ("m", "mark"),
        ),
    ),
)


def tools(places: Mapping[str, str]) -> dict[str, Any]:
    """Of the tool bar; `places` are the titles of the pages that there are for the account, by key."""
    going = [[f"g {key}", title] for key, title in places.items()]
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
FULL_SCREEN: Final = "Full screen"
FULL_SCREEN_OF: Final = "{camera} on the full screen"
FIRST_PICTURE: Final = "Waiting for the first picture"
CANNOT_KEEP_UP: Final = (
    "Analysis cannot keep up: it looks at {cameras} only every {seconds} seconds, so whoever passes quickly is missed."
)
LOW_BANDWIDTH: Final = "Low bandwidth"
LOW_BANDWIDTH_TITLE: Final = "A picture of each camera every three seconds"
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
REASONS: Final = {
    "superseded": "a newer one came",
    "no_motion": "nothing moved",
    "corrupt": "damaged",
    "overload": "more than can be decoded",
    "unusable_picture": "no usable picture",
    "too_short": "too short in view",
    "size": "too small",
    "sharpness": "blurred",
    "confidence": "hardly a person",
    "visibility": "mostly hidden",
    "completeness": "cut off by the edge",
}

SEARCH: Final = "Search"
LOOKING_FOR: Final = "Looking for"
CLEAR: Final = "New search"
TO_SEARCH: Final = "Go to Search"
REMOVE_EXAMPLE: Final = "Remove this example"
EXAMPLES_GONE: Final = "{count} examples are gone: erased, or not yours to see."
TOO_MANY_EXAMPLES: Final = "At most {count} examples go into one search."
PHOTO_NOT_KEPT: Final = "The photo itself is not kept"
REASON: Final = "Reason for the search"
REASON_TEXT: Final = "Here every search is recorded with its reason. It holds until you close this tab."
BECAUSE: Final = "Reason: {reason}"
ADD_EXAMPLE: Final = "Add to the search"
SEARCH_THIS: Final = "Search with this one"
OPEN_PAGE: Final = "Open its page"
START_HINT: Final = "Drop a photo anywhere on this page, or choose a sighting."
LATEST: Final = "Latest sightings"
NO_SIGHTINGS: Final = "Nobody has been seen yet"
NO_SIGHTINGS_TEXT: Final = "Sightings appear here about two seconds after a person comes into view."
FOUND: Final = "{sightings}, most similar first, as of {time}"
NOTHING: Final = "Nothing to show in this scope"
NOTHING_TEXT: Final = (
    "No sighting passes these filters. That says nothing about whether the person was there: "
    "they may not have been seen, or not well enough."
)
MORE_MATCHES: Final = "More"
LEFT_OUT: Final = "{count} sightings were left out because another model made them."
EVIDENCE: Final = "A high rank is a lead, not proof of identity."
EVIDENCE_BY: Final = {
    True: "Ranked by the probability that the model gives.",
    False: "Ranked by uncalibrated similarity: the figures are no probabilities.",
}
BANDS: Final = {"strong": "Strong", "possible": "Possible", "weak": "Weak"}
PAIRS_SHORT: Final = {"VV": "day–day", "II": "night–night", "VI": "day–night"}
PAIRS_TITLE: Final = {
    "VV": "Both pictures are by day",
    "II": "Both pictures are at night",
    "VI": "One picture is by day and one at night: likenesses are weaker than within one light",
}
STORE_AWAY: Final = "The gallery's store does not answer. Live pictures may go on; searching starts again by itself."

GROUP_BY: Final = "Order"
GROUPINGS: Final = {"": "Best first", "camera": "By camera", "time": "By time"}
GROUP_NOTE: Final = "{count}, best {best}"
NEWER: Final = "New since this answer: {count}."
GROWN: Final = "Grown: {count}."
VANISHED: Final = "Erased or expired: {count}."
OTHER_MODEL: Final = "Another model is in use now."
WIDER: Final = "You see more cameras now than this answer is about."
CHANGED: Final = "The gallery has changed since this answer."
REFRESH: Final = "Ask again"
MARKED: Final = "{count} marked"
MORE_LIKE: Final = "More like these"
ADD_EXAMPLES: Final = "Add to this search"
UNMARK: Final = "Unmark"
SHELVES: Final = {"confirm": "Confirmed {count}", "reject": "Rejected {count}", "unsure": "Unsure {count}"}
UNDO: Final = "Take back: {what}"
OWN_SEARCHES: Final = "Your searches"
NO_SEARCHES: Final = "None yet. Each one you make is kept here for some days, with what you thought of its matches."
EXAMPLES: Final = ("", "One example", "{count} examples")
NOT_JUDGED: Final = "Nothing judged yet"
NAME_SEARCH: Final = "Name the search of {time}"
SEARCH_NAME: Final = "Name; empty for none"
SEARCH_LAPSES: Final = "It lapses {time}, unless you ask again or judge a match."
FORGET: Final = "Forget the search of {time}"
CARDS: Final = {
    "day": DAY,
    "night": NIGHT,
    "in_view": "in view",
    "similarity": "uncalibrated similarity",
    "probability": "probability",
    "cosine_title": "Cosine similarity of the two appearance vectors, -1 to 1",
    "verdicts": {"confirm": "confirmed", "reject": "rejected", "unsure": "unsure"},
}
ACTS: Final = {
    "confirm": {"key": "c", "icon": "check", "title": "Confirm: this is the person"},
    "reject": {"key": "r", "icon": "close", "title": "Reject: somebody else"},
    "unsure": {"key": "u", "icon": "question_mark", "title": "Unsure"},
    "search": {"key": "s", "icon": "person_search", "title": SEARCH_THIS},
    "unpin": {"key": "", "icon": "push_pin", "title": "Take out of the case"},
    "mark": {"key": "m", "icon": "done_all", "title": "Mark, to do something with several"},
}

FILTERS: Final = "Filters"
NO_FILTERS: Final = "Remove all filters"
APPLY: Final = "Apply"
FILTER_CAMERAS: Final = "Cameras"
ALL_CAMERAS: Final = "All cameras"
SOME_CAMERAS: Final = "{count} cameras"
FILTER_LIGHT: Final = "Day or night"
LIGHTS: Final = {"": "Day and night", "visible": "Day only", "infrared": "Night only"}
FILTER_TIME: Final = "Time"
FILTER_LEAST: Final = "Likely"
ANY: Final = "Any likelihood"
LEAST_POSSIBLE: Final = "Possible or strong"
LEAST_STRONG: Final = "Strong only"
LEAST_OTHER: Final = "At least {percent}"
FILTER_ELSEWHERE: Final = "Other cameras only"
FILTER_ELSEWHERE_TITLE: Final = "Leave out the cameras that the examples are of"
FILTER_RERANK: Final = "Re-ranked"
FILTER_RERANK_TITLE: Final = "Order the first 300 by who their neighbours are; probabilities stay as they are"
TIMES: Final = {
    0: "Any time",
    15: "Last 15 min",
    60: "Last hour",
    480: "Last 8 hours",
    1440: "Last 24 hours",
    10080: "Last 7 days",
}
SINCE: Final = "Since {time}"
UNTIL: Final = "Until {time}"
FROM: Final = "From"
TO: Final = "To"
BACKWARDS: Final = "The end lies before the beginning."

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
PICTURES: Final = "Pictures of the sighting"
FOOTAGE: Final = {"enlarge": "The whole picture on the full screen", "lost": "It is not kept any more."}
SCENE: Final = "The whole picture of {camera}, {time}; a box shows the person"
SCENE_CAPTION: Final = "Best seen {time}"
CLIP: Final = "Film of {length} without sound, from {time}"
CLIP_CAPTION: Final = "{length} from {time}"
CLIP_LATER: Final = "The film is made when the person has left the view."
NO_CLIP: Final = "No film: the sighting was too short for one, or none are kept."
NO_FOOTAGE: Final = "Nothing of the whole picture is kept of this sighting."
VERDICTS: Final = {"confirm": "Confirm", "reject": "Reject", "unsure": "Unsure"}
SEEN: Final = "Seen"
QUALITY: Final = "Picture quality"
QUALITIES: Final = ((0.6, "Good"), (0.3, "Fair"), (0.0, "Poor"))
QUALITY_LESS: Final = "{word}, {figure}. Weighed down by: {marks}"
MARKS: Final = {
    "size": "small in the picture ({figure})",
    "sharpness": "not sharp ({figure})",
    "confidence": "hardly told as a person ({figure})",
    "visibility": "hidden by others ({figure} to be seen)",
    "completeness": "cut off by the picture's edge ({figure})",
}
FRAMES: Final = "Analysed frames"
TRACK: Final = "Track"
GONE: Final = "This sighting is no longer in the gallery."
CLOSE: Final = "Close"

HOW_IT_STANDS: Final = "How it stands"
IN_SEARCHES: Final = "In searches"
INDEXED: Final = "can be found; its vector is of the model in use, {model}"
NOT_INDEXED: Final = "cannot be found: another model made its vector, {model}"
NOT_INDEXED_YET: Final = "cannot be found yet: the index has not taken it up; that takes a moment"
KEPT_BECAUSE: Final = "Kept because"
KEPT_TEXT: Final = (
    "seen in {frames} frames (at least {least_frames}), picture quality {quality} (at least {least_quality})"
)
SIMILAR: Final = "Similar sightings"
SIMILAR_ASK: Final = "Show the most similar"
SIMILAR_TEXT: Final = "Asking for them is a search, and recorded as one."
NO_SIMILAR: Final = ("Nothing is similar", "No other sighting that your account sees can be compared with this one.")
ADD_TO_SUBJECT: Final = "Add to a subject"
ADD_TO_SUBJECT_TEXT: Final = "You confirm by this who the person is."
IN_SUBJECT: Final = "Confirmed: {name}"
IN_NO_SUBJECT: Final = "Nobody has confirmed who this is."
NOBODY_AROUND: Final = "Nobody else in these minutes"
NOBODY_AROUND_TEXT: Final = "No other sighting of this camera is in the gallery."
AROUND: Final = "Others on {camera}, ten minutes before and after"

SUBJECTS: Final = "Subjects"
SUBJECT: Final = "Subject"
SUBJECTS_TEXT: Final = "People as far as somebody has confirmed them."
SUBJECT_NUMBER: Final = "Subject {number}"
SUBJECT_SUM: Final = "{sightings} on {cameras}"
SUBJECT_NAME: Final = "Name, if there is one"
CHANGED_AT: Final = "changed {time}"
MORE_SUBJECTS: Final = "More subjects"
NO_SUBJECTS: Final = "No subjects yet"
NO_SUBJECTS_TEXT: Final = "Search for a person, confirm sightings with c, then keep them as a subject."
TO_SUBJECTS: Final = "Go to Subjects"
KNOWN_SUBJECT: Final = "Add to a known one"
KEEP_SUBJECT: Final = "Keep as a subject"
KEEP_SUBJECT_TEXT: Final = "{sightings}: the examples and what you confirmed."
KEEP: Final = "Keep"
RENAME: Final = "Rename"
FIND_MORE: Final = "Find more sightings"
TAKE_OUT: Final = "Take out"
FIND_BY_NAME: Final = "Find by name"
FIND_SUBJECT: Final = "Name or number"
NO_SUCH_SUBJECT: Final = "Among the newest {count:,} you see no subject of this name or number."
FIRST_SUBJECTS: Final = "The newest {count}. Type more of the name for others."
MERGE: Final = "Merge"
MERGE_WHICH: Final = "Who is the same person as {name}?"
MERGE_SURE: Final = "Are these one person?"
MERGE_TEXT: Final = (
    "All sightings are “{name}” afterwards; links to “{other}” lead there. Sightings can be split off again."
)
MERGE_TWO: Final = "Here two people decide: you propose it, and another account has to agree."
MERGE_MINE: Final = "You have proposed it. Another account has to agree, not you again."
MERGE_PROPOSE: Final = "Propose to merge"
MERGE_AGREE: Final = "Agree and merge"
MERGE_WAITS: Final = "Proposed. It is done when another account agrees."
MERGE_DENIED: Final = (
    "A sighting of one was rejected for the other, so they are not merged. Take that back first if it was wrong."
)
ALL_THE_SAME: Final = "{verb} all the same"
CHOOSE_ANOTHER: Final = "Choose another"
PAIR_FITS: Final = "No pair of these sightings contradicts that by place and time."
PAIR_CONFLICTS: Final = (
    "",
    "One pair of these sightings cannot be of one person:",
    "{count} pairs of these sightings cannot be of one person:",
)
PAIR_AT_ONCE: Final = "{one} and {other}: on both cameras at the same time"
PAIR_TOO_FAR: Final = "{one} and {other}: {time} apart, the way takes at least {least}"
PAIR_MORE: Final = "and {count} more"
CHOOSE_SIGHTING: Final = "Choose {camera}, {time}"
CHOOSE_TO_SPLIT: Final = "Somebody else among them? Choose those sightings."
CHOOSE_NONE: Final = "Choose none"
CHOSEN: Final = "{count} chosen"
ALL_CHOSEN: Final = "All of them: one sighting has to stay. Merge the subject instead."
MORE_SIGHTINGS: Final = "More sightings"
SPLIT: Final = "Split off"
SPLIT_TEXT: Final = "{sightings} become a subject of their own."
SPLIT_DO: Final = "Make a subject"
MOVE: Final = "Move"
MOVE_WHICH: Final = "Who is it?"
MOVE_SURE: Final = "Are the chosen ones {name}?"
MOVE_TWO: Final = "Here two people decide: they are taken out at once, and wait there until another account agrees."
SPLIT_FROM: Final = "Split off from another subject"
MERGED_IN: Final = ("", "Another subject was merged into it", "{count} subjects were merged into it")
PENDING: Final = "Waits for a second person"
PENDING_TEXT: Final = "No part of the subject until another account confirms it too."
PENDING_PAGE: Final = "To confirm"
PENDING_PAGE_TEXT: Final = (
    "Two people decide who somebody is. What you, {account}, proposed waits for another account: one person twice "
    "is not two."
)
PENDING_LOOK: Final = "Show it"
PENDING_CHANGED: Final = "Something else waits by now."
PENDING_COUNT: Final = "{title}, {count} for you"
NONE_CONFIRMED: Final = "No sighting is confirmed yet"
MORE_PENDING: Final = "More"
NOTHING_PENDING: Final = "Nothing waits for a second person"
NOTHING_PENDING_TEXT: Final = "What somebody confirms or proposes to merge appears here until another account agrees."
PENDING_MERGE: Final = "Merge with {name}"
PENDING_MINE: Final = "You proposed it, so somebody else has to agree."
PENDING_TAKEN: Final = "It is confirmed in another subject by now."
PROPOSED_BY: Final = "{account} confirmed it, {time}"
MERGE_PROPOSED_BY: Final = "{account} proposed it, {time}"
CONFIRM_TOO: Final = "Confirm too"
LOOK_AT_BOTH: Final = "Look at both"
NOT_THIS: Final = "Reject"
TAKE_BACK: Final = "Take back"
TIMELINE: Final = "Where and when"
IN_ORDER: Final = "In order"
STAYS: Final = "How long on each camera"
STAY: Final = "{time} in {sightings}"
CONFIRMED_BY: Final = "{length}, confirmed by {account}"
LATER: Final = "{time} later"
OVERLAPS: Final = "at the same time"
IMPOSSIBLE: Final = "Impossible for one person: {time} apart, the way takes at least {least}"
IMPOSSIBLE_AT_ONCE: Final = "Impossible for one person: on both cameras at the same time"
CONFLICTS: Final = (
    "",
    "Two of these sightings cannot be of one person. Look at what is marked below.",
    "{count} pairs of these sightings cannot be of one person. Look at what is marked below.",
)
EMPTY_SUBJECT: Final = "No sightings that your account sees"
EMPTY_SUBJECT_TEXT: Final = "They were taken out, have expired, or are on cameras outside your scope."
REMOVE_SUBJECT: Final = "Remove {name}? Its sightings stay in the gallery."
ON_PLAN: Final = "On the plan {plan}"
ON_MAP: Final = "On the map"
WENT: Final = "from one camera to the next"
WENT_NOT: Final = "impossible for one person"
GLOBE: Final = {"title": "Cameras on the map", "closer": "Closer", "farther": "Farther"}
CHART: Final = {
    "title": "Sightings by camera and time",
    "play": "Play the sightings one after the other",
    "stop": "Stop",
    "hint": "Play, or choose a sighting",
}

CAMERA_NAME: Final = "Name"
CAMERA_URL: Final = "Stream address"
CAMERA_URL_HINT: Final = "rtsp://user:password@address/path. The password is never shown again."
CAMERA_LIGHT: Final = "Day or night"
CAMERA_LIGHTS: Final = {"": "Judge every picture", "visible": "Always day", "infrared": "Always night"}
CAMERA_FPS: Final = "At most so many pictures a second"
CAMERA_LEAST_HEIGHT: Final = "Ignore people smaller than (px)"
CAMERA_KEEP: Final = "Keep sightings for (days)"
CAMERA_PLAN: Final = "Plan, such as a floor"
CAMERA_PLACE: Final = {"x_m": "x (m)", "y_m": "y (m)", "latitude": "Latitude", "longitude": "Longitude"}
CAMERA_ENABLED: Final = "Switched on"
CAMERA_DEFAULT: Final = "as the settings say"
CAMERA_LIST_COLUMNS: Final = (
    "Camera",
    "Place",
    "Light",
    "State",
    "Analysed/s",
    "Last picture",
    "Reconnects",
    "Frames not analysed",
    "Clock",
)
CAMERA_NOW: Final = "{camera}: {state}"
CAMERA_AGO: Final = "{time} ago"
CAMERA_LIGHT_NOW: Final = {"visible": "Day", "infrared": "Night"}
CAMERA_ON_PLAN: Final = "{plan}{x:g}, {y:g} m"
CAMERA_TEST: Final = "Test {camera}"
CAMERA_CHANGE: Final = "Change {camera}"
CAMERA_REGIONS: Final = "Regions of {camera}"
REGIONS_FETCHING: Final = "Fetching a picture"
REGIONS_BLIND: Final = "There is no picture to draw on: {reason}"
REGION_KINDS: Final = {"include": "Counts", "exclude": "Does not count"}
REGIONS: Final = {
    "picture": "What the camera shows",
    "draw": "What is drawn",
    "kinds": REGION_KINDS,
    "finish": "Close the region",
    "undo": "Undo",
    "clear": "Clear",
    "by_numbers": "By numbers",
    "hint": "Click corners in the picture, and the first one again. People count where their feet are. "
    "Without regions everything counts.",
    "kind": "Kind of region {number}",
    "corners": "Corners of region {number}, in per cent from the left and the top",
    "remove": "Remove region {number}",
    "wrong": "Region {number}: expected three or more corners like 10 20; 90 20; 50 80, each number from 0 to 100.",
    "open": "The last region is still open. Close it, or undo its corners.",
    "save": "Keep",
}
CAMERA_VIEWS: Final = "Ways to look at cameras"
CAMERA_LIST: Final = "List"
PLAN: Final = "Plan"
PLAN_UNNAMED: Final = "without a name"
PLAN_SIZE: Final = "{width:g} × {height:.3g} m"
PLAN_ADD: Final = "New plan"
PLAN_DESCRIBE: Final = "Set its size"
PLAN_CHANGE: Final = "Size"
PLAN_NAME: Final = "Name, such as a floor"
PLAN_NAME_WRONG: Final = "Name: expected 1 to 120 characters, without / and \\, and no dot at its beginning."
PLAN_WIDTH: Final = "Width (m)"
PLAN_WIDTH_HINT: Final = "From the left edge of the picture to the right one"
PLAN_HEIGHT: Final = "Height (m)"
PLAN_HEIGHT_HINT: Final = "Of the empty plan; a picture has its own shape"
PLAN_REMOVE_SURE: Final = "Remove the plan {name} and its picture? Cameras keep their positions."
NO_PLANS: Final = "No such plan"
NO_PLANS_TEXT: Final = (
    "Make one: a name and how many metres it is wide. Then give it a picture and drag cameras on to it."
)
NO_PLANS_FOR_YOU: Final = "None of your cameras stands on a plan yet."
PLAN_UPLOAD: Final = {
    "choose": "Picture",
    "busy": "Sending",
    "too_large": "The picture is larger than what is accepted.",
    "unreachable": "Tapetum does not answer. Check the connection and try again.",
}
FLOOR: Final = {
    "title": "Cameras on the plan {plan}",
    "picture": "Plan {plan}",
    "unplaced": "On no plan yet",
    "all_placed": "All cameras stand on a plan.",
    "placed": "On this plan",
    "nobody": "No camera yet.",
    "put": "Put {camera} on the plan",
    "take": "Take {camera} off the plan",
    "at": "{x}, {y} m",
    "undo": "Undo",
    "saved": "Kept",
    "hint": "Drag cameras to where they stand, or click one to put it in the middle. Arrow keys move the one in focus "
    "by {step}, with Shift by {far}; Delete takes it off. Every change is kept at once.",
}
WINDOW: Final = "How long"
WINDOWS: Final = {24: "24 hours", 168: "7 days", 720: "30 days"}
NO_FIGURES: Final = "No figures yet"
OTHERS: Final = "others"
CHART_SAYS: Final = "{title}: at the end {newest}; between {least} and {most}."
AVAILABILITY: Final = "Availability"
LAST_24_HOURS: Final = "Last 24 hours"
LOOKS: Final = {
    "live": "live",
    "trouble": "no picture, or connecting again",
    "failed": "cannot connect, or ended",
    "nobody": "no worker followed it",
    "off": "switched off",
}
STRETCH: Final = "{state}, {time}, from {start} to {end}"
SHARE_LIVE: Final = "{share} live"
NEVER_SEEN: Final = "No worker has followed it yet"
INTERRUPTIONS_SUM: Final = (
    "no interruption",
    "1 interruption, {longest}",
    "{count} interruptions, the longest {longest}",
)
INTERRUPTIONS: Final = "Interruptions"
INTERRUPTION_COLUMNS: Final = ("From", "Until", "For", "What happened")
NO_INTERRUPTIONS: Final = "None in this time."
STILL: Final = "not over yet"
MORE_INTERRUPTIONS: Final = "{count} earlier ones are not listed."
LOST: Final = {
    "connecting": "Connecting",
    "stalled": "No new pictures",
    "reconnecting": "Connecting again",
    "ended": "The stream ended",
    "failed": "Cannot connect",
    "waiting": "No worker followed it",
}
CAMERA_CHARTS: Final = {
    "pictures": "Pictures a second",
    "analysed": "analysed",
    "decoded": "decoded",
    "latency": "Delay from picture to box, p95",
    "skipped": "Pictures not analysed, a minute",
    "reconnects": "Reconnects an hour",
    "clock": "Clock against the server's",
    "tracklets": "Sightings an hour",
    "refused": "Sightings not indexed, an hour",
    "light": "Share of the time that shows night",
}
AS_TABLE: Final = "The same as a table"
FIGURE_COLUMNS: Final = (
    "From",
    "Live",
    "Day / night",
    "Analysed/s",
    "Decoded/s",
    "Delay, p95",
    "Frames not analysed",
    "Reconnects",
    "Sightings",
    "Not indexed",
    "Clock",
)
SYSTEM_CHARTS: Final = {
    "analysed": "Pictures analysed a second",
    "tracklets": "Sightings a minute",
    "queued": "Sightings that wait on workers' disks",
    "skipped": "Pictures not analysed, a second",
    "gallery": "Sightings in the gallery",
    "search": "Time of a search",
    "searches": "Searches an hour",
    "memory": "Memory of processes",
    "alerts": "Changes that wait to be matched",
    "half": "half of them (p50)",
    "most": "19 of 20 (p95)",
}
SYSTEM_TIME: Final = "Over time"
SYSTEM_COLUMNS: Final = (
    "From",
    "Analysed/s",
    "Sightings",
    "Frames not analysed",
    "Waiting",
    "Gallery",
    "Searches",
    "p50",
    "p95",
    "Memory",
)
CAMERA_REMOVE: Final = "Remove {camera}"
CAMERA_CHANGED: Final = "{camera} was changed."
TEST: Final = "Test"
TESTING: Final = "Connecting to the camera"
TEST_OK: Final = "The camera answers"
TEST_PICTURE: Final = "Its first picture"
TEST_CLOCK: Final = "Its clock differs by {offset:+.1f} s"
TEST_FAILED: Final = "The camera cannot be used"
SAVE: Final = "Add camera"
SAVED: Final = "{camera} was added."
REMOVE: Final = "Remove"
REMOVE_SURE: Final = "Remove {camera} and its health history? Its sightings stay in the gallery."
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
    "plan": "Floor plans",
    "user": "Accounts",
    "password": "Passwords",
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
GALLERY_MODEL: Final = "Searched by"
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

USERS: Final = "Users"
USER_COLUMNS: Final = ("Account", "Role", "Cameras", "State", "Changed", "")
ADD_USER: Final = "Add an account"
ROLE: Final = "Role"
ACTIVE: Final = "Active"
INACTIVE: Final = "Locked"
NO_CAMERA: Final = "None"
EVERY_CAMERA: Final = "All cameras, also those to come"
CHANGE: Final = "Change"
NEW_PASSWORD: Final = "New password"  # noqa: S105
PASSWORD_OF: Final = "Password of {account}"  # noqa: S105
SHOWN_ONCE: Final = "It is shown only now. Hand it over safely."
REMOVE_USER: Final = (
    "Remove the account {account}? Its sessions and tokens end at once. What it did stays in the audit log."
)

ACCOUNT: Final = "Your account"
PASSWORD: Final = {
    "title": "Password",
    "current": "Present password",
    "wanted": "New password",
    "again": "New password again",
    "rules": "At least 12 characters, 5 of them different, and more than the account's name. Every session of yours "
    "ends with the change, this one too, and so do your API tokens.",
    "change": "Change the password",
    "empty": "Give the present password and the new one.",
    "differ": "The new password was typed differently the second time.",
    "unreachable": "Tapetum does not answer. Check the connection and try again.",
}
PASSWORD_ELSEWHERE: Final = "You log in at the login service, and change your password there."  # noqa: S105
TOKENS: Final = "API tokens"
TOKENS_TEXT: Final = "Tokens let a program act for you, never with more rights than you have."
NO_TOKENS: Final = "No tokens."
TOKEN_COLUMNS: Final = ("Name", "Role", "Ends", "Last used", "")
ADD_TOKEN: Final = "Make a token"  # noqa: S105
TOKEN_NAME: Final = "Name"  # noqa: S105
TOKEN_OF: Final = "Token {name}"  # noqa: S105
VALID_FOR: Final = "Valid for"
TOKEN_DAYS: Final = {7: "7 days", 30: "30 days", 90: "90 days", 365: "1 year"}
NEVER: Final = "never"
REVOKE: Final = "Revoke"
REVOKE_SURE: Final = "Revoke the token {name}? What uses it stops working at once."

CASES: Final = "Cases"
CASE: Final = "Case"
ADD_CASE: Final = "New case"
NEW_CASE: Final = "A new case"
CASE_TITLE: Final = "Title"
CASE_STATES: Final = {"open": "open", "closed": "closed"}
MORE_CASES: Final = "More cases"
NO_CASES: Final = "No cases yet"
NO_CASES_TEXT: Final = "A case holds sightings, subjects and notes of one matter, and can be exported with a signature."
TO_CASES: Final = "Go to Cases"
CLOSE_CASE: Final = "Close the case"
OPEN_CASE: Final = "Open again"
TAKING_PART: Final = "Who takes part"
CASE_ROLES: Final = {"owner": "owner", "members": "may change it", "readers": "reads it"}
CASE_ROLES_GIVEN: Final = {"members": "May change it", "readers": "Reads it", "owner": "Owner, instead of the one now"}
ADD_MEMBER: Final = "Add somebody"
MEMBERS_TEXT: Final = (
    "By the name of the account. Everybody sees the pins of their own cameras; title and notes are the same for all."
)
REMOVE_MEMBER: Final = "Take {account} out of the case? What they pinned and noted stays."
READS_ONLY: Final = "You read this case, and do not change it."
PIN: Final = "Pin to a case"
PIN_NOTE: Final = "Why it belongs there"
UNPIN: Final = "Take out"
UNPIN_SURE: Final = "Take this sighting out of the case? It stays in the gallery."
PINNED: Final = "Pinned"
NO_PINS: Final = "Nothing is pinned yet"
NO_PINS_TEXT: Final = "Mark sightings in a search and pin them here, or pin a subject from its page."
NOTES: Final = "Notes"
NOTE: Final = "A note; it cannot be changed later"
ADD_NOTE: Final = "Add the note"
EXPORTS: Final = "Exports"
EXPORT: Final = "Export"
EXPORT_TEXT: Final = (
    "A signed ZIP of the pinned sightings that you see, with the notes. Who exported it and why is recorded."
)
EXPORT_REASON: Final = "Reason for the export"
BLUR: Final = "Make bystanders unrecognisable"
BLURRED: Final = "bystanders blurred"
NOT_BLURRED: Final = "bystanders not blurred"
NO_EXPORTS: Final = "None yet."
EXPORTING: Final = "{done} of {total} sightings"
EXPORT_STATES: Final = {
    "failed": "It failed.",
    "withdrawn": "Withdrawn: a sighting in it is not kept any more.",
    "expired": "Expired.",
}
DOWNLOAD: Final = "Download, {size}"

ALERTS: Final = "Alerts"
ALERTS_WHICH: Final = "Which alerts"
ALERTS_SHOWN: Final = {False: "Open", True: "Acknowledged", None: "All"}
NO_ALERTS: Final = {
    True: ("No open alerts", "When somebody who is watched for is seen, it appears here within seconds."),
    False: ("No alerts", "Nothing has fired yet."),
}
SOUND: Final = "Sound"
ALERT_WHY: Final = "{percent} likely, told from {threshold} on; compared {pair}."
ALERT_REASON: Final = "Watched for because: {reason} ({owner})"
ALERT_EXAMPLE: Final = "The example that it resembles"
ALERT_NOTE: Final = "What was done, if you want to say"
CLOCK_DOUBTED: Final = "The camera's clock is off, so the hours were judged by the server's."
NOTED_BY: Final = "Acknowledged by {account}, {time}."
ACKNOWLEDGE: Final = "Acknowledge"
SEARCH_PERSON_SHORT: Final = "Search"
WATCHED: Final = "Watched for"
NOBODY_WATCHED: Final = "Nobody. Open a subject and choose “Watch for”."
WATCH_STATES: Final = {
    "watching": "watching",
    "paused": "paused",
    "expired": "expired",
    "model-changed": "does not match: another model is in use, make it anew",
    "not-calibrated": "does not match: the model gives no probabilities",
    "model-loading": "waits for the model",
    "owner-gone": "does not match: its owner is gone",
    "owner-may-not": "does not match: its owner may not watch any more",
    "out-of-scope": "does not match: its owner does not see its cameras or examples any more",
}
WATCH_RULE: Final = "from {percent} on, until {time}"
WATCH_ALL: Final = "on all cameras of its owner, also those to come"
WATCH_HOURS: Final = "{start} to {end} ({zone})"
WATCH_GOES: Final = "ends about {time}, when its last sighting expires"
MORE_WATCHED: Final = "These are the newest {count}; the API has all."
PAUSE_WATCH: Final = "Pause"
RESUME_WATCH: Final = "Resume"
CHANGE_WATCH: Final = "Watching for {name}"
WATCH_NAME: Final = "Name"
WATCH_UNTIL: Final = "Until"
WATCH_EVERY: Final = "All cameras that it was made for"
WATCH: Final = "Watch for"
WATCH_TEXT: Final = "Alerts appear on the Alerts page, on all cameras that you see now."
WATCH_REASON: Final = "Reason"
WATCH_LEAST: Final = {0.8: "80 % or more", 0.9: "90 % or more", 0.95: "95 % or more", 0.99: "99 % or more"}
WATCH_DAYS: Final = {1: "1 day", 7: "7 days", 30: "30 days", 90: "90 days"}
WATCH_FOR: Final = "For"
END_WATCH: Final = "End"
END_WATCH_SURE: Final = "Stop watching for {name}? Its alerts stay."
