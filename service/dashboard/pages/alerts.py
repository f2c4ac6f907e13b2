"""The inbox of alerts, with why each fired, and beside it whom is watched for."""

from __future__ import annotations

from functools import partial

from nicegui import ui

from service.alerts import Alert
from service.api.schema_alerts import AcknowledgementRequest
from service.dashboard import strings
from service.dashboard.asking import Asking
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import answer_of, badge, empty, heading, plain, primary, quiet
from service.dashboard.watched_list import WatchedList
from service.likelihood import likelihood
from service.security.access import Permission

__all__ = ["AlertsPage"]

AT_ONCE = 50
# Two short tones; a browser makes no sound before somebody has clicked, which switching it on is.
_BEEP = """
(() => {
  const context = (window.tapetumSound ??= new AudioContext());
  for (const [pitch, at] of [[660, 0], [880, 0.18]]) {
    const tone = new OscillatorNode(context, { frequency: pitch }), loud = new GainNode(context, { gain: 0.15 });
    tone.connect(loud).connect(context.destination);
    tone.start(context.currentTime + at);
    tone.stop(context.currentTime + at + 0.14);
  }
})()
"""


class AlertsPage:
    """Of one tab, while it is looked at."""

    def __init__(self, desk: Desk, asking: Asking) -> None:
        self._desk = desk
        self._asking = asking
        self._wanted: bool | None = False  # acknowledged, or None for all
        self._shown: list[Alert] | None = None
        self._loud = False

    async def build(self) -> None:
        with ui.element("div").classes("tp-page"):
            with ui.element("div").classes("tp-line"):
                heading(strings.ALERTS)
                ui.element("span").classes("tp-grow")
                self._sound = quiet(strings.SOUND, self._switch_sound, icon="notifications_off")
                self._sound.props["aria-pressed"] = "false"
                self._segments = ui.element("div").classes("tp-segments")
                self._segments.props(f'role="group" aria-label="{strings.ALERTS_WHICH}"')
                self._draw_segments()
            with ui.element("div").classes("tp-case"):
                self._list = ui.element("div").classes("tp-alerts").props('role="log" aria-live="polite"')
                with ui.element("section").classes("tp-block").props(f'aria-label="{strings.WATCHED}"'):
                    if self._desk.may(Permission.WATCHLISTS):
                        heading(strings.WATCHED, level=2)
                        self._watched = WatchedList(self._desk)
        await self._desk.ready()
        await self._refresh()
        if self._desk.may(Permission.WATCHLISTS):
            await self._watched.draw()
        ui.timer(2.0, self._refresh)

    def _draw_segments(self) -> None:
        self._segments.clear()
        with self._segments:
            for wanted, text in strings.ALERTS_SHOWN.items():
                with ui.element("button").props("type=button") as button:
                    ui.label(text)
                button.props["aria-pressed"] = "true" if wanted is self._wanted else "false"
                button.on("click", partial(self._want, wanted))

    async def _want(self, wanted: bool | None) -> None:
        self._wanted, self._shown = wanted, None
        self._draw_segments()
        await self._refresh()

    def _switch_sound(self) -> None:
        self._loud = not self._loud
        self._sound.props["aria-pressed"] = "true" if self._loud else "false"
        self._sound.props["icon"] = "notifications_active" if self._loud else "notifications_off"
        self._sound.update()
        if self._loud:
            ui.run_javascript(_BEEP)

    async def _refresh(self) -> None:
        wanted, alerts = self._wanted, self._desk.scoped.alerts
        try:
            page = await self._desk.ask(lambda: alerts.page(AT_ONCE, acknowledged=wanted))
            names = dict(await self._desk.camera_names())
        except Unanswered as error:
            if self._shown is None:
                self._list.clear()
                with self._list:
                    empty("cloud_off", str(error), bad=True)
            return
        found, known = list(page.alerts), {alert.id for alert in self._shown or ()}
        if found == self._shown:
            return
        if self._loud and self._shown is not None and any(alert.id not in known for alert in found):
            ui.run_javascript(_BEEP)
        self._shown = found
        self._list.clear()
        with self._list:
            if not found:
                empty("notifications_none", *strings.NO_ALERTS[wanted is False])
            for alert in found:
                self._draw(alert, names)

    # -- one alert -------------------------------------------------------------------------------

    def _draw(self, alert: Alert, names: dict[str, str]) -> None:
        clock = self._desk.clock
        camera = names.get(alert.camera_id, alert.camera_id)
        with ui.element("article").classes("tp-alert"):
            self._pictures(alert, camera)
            with ui.element("div").classes("tp-alert-text"):
                with ui.element("div").classes("tp-line"):
                    heading(alert.entry_name, level=2)
                    badge(alert.modality)
                ui.label(f"{camera}, {clock.short(alert.captured_at)}")
                ui.label(_why(alert)).classes("tp-quiet")
                ui.label(strings.ALERT_REASON.format(reason=alert.reason, owner=alert.owner)).classes("tp-quiet")
                noted = alert.acknowledged
                if noted is not None:
                    told = strings.NOTED_BY.format(account=noted.account, time=clock.short(noted.at))
                    ui.label(f"{told} {noted.note or ''}".strip()).classes("tp-good")
            with ui.element("div").classes("tp-alert-acts"):
                if alert.acknowledged is None and self._desk.may(Permission.WATCHLISTS):
                    primary(strings.ACKNOWLEDGE, partial(self._acknowledge, alert.id), icon="check")
                if self._desk.may(Permission.SEARCH):
                    search = partial(self._asking.search_tracklet, alert.tracklet_id)
                    plain(strings.SEARCH_PERSON_SHORT, search, icon="person_search")

    def _pictures(self, alert: Alert, camera: str) -> None:
        """The sighting, and beside it what it resembles."""
        with ui.element("a").props(f'href="/sightings/{alert.tracklet_id}"').classes("tp-alert-picture"):
            image = ui.element("img")
            image.props["src"], image.props["alt"] = f"/api/v1/tracklets/{alert.tracklet_id}/thumbnail", camera
        example = alert.example
        if example.tracklet_id and example.camera_id and self._desk.scoped.access.sees(example.camera_id):
            image = ui.element("img").classes("tp-alert-example")
            image.props["src"] = f"/api/v1/tracklets/{example.tracklet_id}/thumbnail"
            image.props["alt"] = image.props["title"] = strings.ALERT_EXAMPLE

    async def _acknowledge(self, alert_id: str) -> None:
        with ui.dialog(value=True) as dialog, ui.element("div").classes("tp-dialog tp-narrow"):
            heading(strings.ACKNOWLEDGE, level=2)
            note = ui.input(strings.ALERT_NOTE).props("filled dense stack-label maxlength=500 autofocus")
            with ui.element("div").classes("tp-line"):
                primary(strings.ACKNOWLEDGE, lambda: dialog.submit(True))
                quiet(strings.CANCEL, lambda: dialog.submit(False))
        if not await answer_of(dialog):
            return

        def acknowledge() -> Alert:
            request = AcknowledgementRequest(note=str(note.value or "").strip() or None)
            return self._desk.scoped.alerts.acknowledge(alert_id, request.note)

        if await self._desk.try_to(acknowledge) is not None:
            await self._refresh()


def _why(alert: Alert) -> str:
    """Why an alert fired."""
    told = strings.ALERT_WHY.format(
        percent=likelihood(alert.probability), threshold=f"{alert.threshold:.0%}", pair=strings.PAIRS[alert.pair]
    )
    return f"{told} {strings.CLOCK_DOUBTED}" if alert.clock_doubted else told
