"""An operator without a mouse."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

_MOST = 150
"""Presses of the tab key from anything to anything else on a page: more, and nobody finds it."""
_NO_MOUSE = """
window.mouseEvents = 0;
for (const kind of ["pointerdown", "mousedown", "touchstart"])
  addEventListener(kind, event => event.isTrusted && window.mouseEvents++, true);
"""


class Keyboard:
    """Of one page. Pages that are opened from now on count what a mouse does in them."""

    def __init__(self, page: Page) -> None:
        self._page = page
        page.add_init_script(_NO_MOUSE)

    def press(self, *keys: str) -> None:
        for key in keys:
            self._page.keyboard.press(key)

    def write(self, text: str) -> None:
        self._page.keyboard.type(text)

    def reach(self, what: Locator, *, backwards: bool = False) -> None:
        """Press the tab key until the focus is on the first of them; it must be seen there."""
        expect(what.first).to_be_visible()
        for _ in range(_MOST):
            if what.evaluate_all("all => all.includes(document.activeElement)"):
                return
            self.press("Shift+Tab" if backwards else "Tab")
        raise AssertionError(f"{what} cannot be reached by the tab key")

    def fill(self, field: Locator, text: str) -> None:
        """Write into a field in place of what is in it."""
        self.reach(field)
        self.press("Control+A")
        self.write(text)

    @property
    def mouse_events(self) -> int:
        return int(self._page.evaluate("window.mouseEvents"))
