"""What runs here: engines, workers, cameras, gallery, model."""

from __future__ import annotations

from html import escape

from nicegui import ui

from models.calibration import Calibration
from models.types import Modality
from pipeline.camera import CameraConfig, CameraHealth
from service.api.engines import LoadedModel
from service.api.schema import EngineInfo, SystemInfo
from service.api.system import read_system
from service.dashboard import strings
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import empty, facts, heading, summary, table
from service.dashboard.system_figures import SystemFigures
from service.dashboard.wording import reasons, size, span
from service.security.access import Permission

__all__ = ["SystemPage"]


class SystemPage:
    """Read anew every few seconds while it is looked at."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._shown: object = None

    async def build(self) -> None:
        with ui.element("div").classes("tp-page"):
            heading(strings.SYSTEM)
            figures = SystemFigures(self._desk)
            self._body = ui.element("div").classes("tp-system")
        await self._desk.ready()
        await self._refresh()
        await figures.refresh()
        ui.timer(5.0, self._refresh)

    async def _refresh(self) -> None:
        try:
            found: object = await self._desk.ask(self._read)
        except Unanswered as error:
            found = str(error)
        if found == self._shown:
            return
        self._shown = found
        self._body.clear()
        with self._body:
            if isinstance(found, tuple):
                self._draw(*found)
            else:
                empty("cloud_off", str(found), bad=True)

    def _read(self) -> tuple[SystemInfo, list[CameraConfig], dict[str, CameraHealth]]:
        scoped = self._desk.scoped
        configs = scoped.cameras()
        info = read_system(scoped.of_every_camera(Permission.SYSTEM))
        return info, configs, scoped.camera_health([c.id for c in configs])

    def _draw(self, info: SystemInfo, configs: list[CameraConfig], health: dict[str, CameraHealth]) -> None:
        with ui.element("div").classes("tp-columns"):
            with ui.element("section").classes("tp-block"):
                heading(strings.SYSTEM_HERE, level=2)
                facts(self._here(info))
            with ui.element("section").classes("tp-block"):
                heading(strings.MODEL, level=2)
                self._model(info, self._desk.scoped.engines.model)
        with ui.element("section").classes("tp-block"):
            heading(strings.ENGINES, level=2)
            rows = [_engine(strings.THIS_SERVICE, engine) for engine in info.engines]
            rows += [_engine(worker.worker_id, engine) for worker in info.workers for engine in worker.engines]
            table(strings.ENGINE_COLUMNS, rows, label=strings.ENGINES, numbers=(5,))
        with ui.element("section").classes("tp-block"):
            heading(strings.DELIVERY, level=2)
            if info.workers:
                rows = [
                    [
                        worker.worker_id,
                        f"{worker.queued:,}",
                        span(worker.oldest_s) if worker.oldest_s is not None else "",
                        f"{worker.delivered:,}",
                        f"{worker.replayed:,}",
                        f"{worker.quarantined:,}",
                        span(worker.away_s) if worker.away_s is not None else "",
                    ]
                    for worker in info.workers
                ]
                table(strings.DELIVERY_COLUMNS, rows, label=strings.DELIVERY, numbers=(1, 2, 3, 4, 5, 6))
            else:
                ui.label(strings.NO_WORKERS).classes("tp-quiet")
        with ui.element("section").classes("tp-block"):
            heading(strings.CAMERAS, level=2)
            rows = [_camera(config, health.get(config.id)) for config in configs]
            table(strings.CAMERA_COLUMNS, rows, label=strings.CAMERAS, numbers=(2, 3, 4, 5, 7))

    def _here(self, info: SystemInfo) -> list[tuple[str, str]]:
        keep = self._desk.scoped.settings.retention_days
        pairs = [
            (strings.VERSION, f"Tapetum {info.version}, Python {info.python}"),
            (strings.STORE, f"{info.redis['product']} {info.redis['version']}"),
            (strings.GALLERY, strings.sightings(info.gallery_size)),
            (strings.INDEX_MEMORY, size(info.gallery_index_bytes) if info.gallery_index_bytes is not None else ""),
            (strings.KEPT_FOR, strings.DAYS.format(days=f"{keep:g}") if keep is not None else strings.FOR_EVER),
        ]
        if info.gallery_left_out:
            pairs.append((strings.NOT_SEARCHED, strings.LEFT_OUT.format(count=f"{info.gallery_left_out:,}")))
        if info.photo_engines_error:
            pairs.append((strings.PHOTOS_FAIL, info.photo_engines_error))
        return pairs

    def _model(self, info: SystemInfo, model: LoadedModel | None) -> None:
        if info.model is None or model is None:
            ui.label(strings.MODEL_FAILED if info.photo_engines_error else strings.MODEL_LOADING).classes("tp-quiet")
            return
        pairs = [(strings.MODEL, info.model.label), (strings.MODEL_HASH, info.model.hash)]
        if info.gallery_model is not None and info.gallery_model.hash != info.model.hash:
            pairs.append((strings.GALLERY_MODEL, f"{info.gallery_model.label} ({info.gallery_model.hash[:12]})"))
        facts(pairs)
        if model.calibration is not None and any(model.calibration.to_dict().values()):
            ui.html(calibration_curve(model.calibration), sanitize=False)
        else:
            ui.label(strings.NOT_CALIBRATED).classes("tp-quiet")
        if model.card:
            with ui.element("details").classes("tp-card-text"):
                summary(strings.MODEL_CARD)
                ui.html(escape(model.card), sanitize=False, tag="pre").props("tabindex=0")


def calibration_curve(calibration: Calibration) -> str:
    """SVG: the probability at every cosine, a line for each pair of lights."""
    width, height, left, top = 360, 150, 40, 8
    pairs = (
        (Modality.VISIBLE, Modality.VISIBLE, "VV"),
        (Modality.INFRARED, Modality.INFRARED, "II"),
        (Modality.VISIBLE, Modality.INFRARED, "VI"),
    )
    parts = []
    for value in (0.0, 0.5, 1.0):
        y = top + height * (1 - value)
        parts.append(f'<line x1="{left}" x2="{left + width}" y1="{y}" y2="{y}" class="tp-axis"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{value:.0%}</text>')
    for cosine in (-1.0, -0.5, 0.0, 0.5, 1.0):
        x = left + width * (cosine + 1) / 2
        parts.append(f'<text x="{x}" y="{top + height + 16}" text-anchor="middle">{cosine:g}</text>')
    legend = []
    for one, other, name in pairs:
        curve = calibration.of(one, other)
        if curve is None:
            continue
        points = " ".join(
            f"{left + width * i / 100:.1f},{top + height * (1 - curve.probability(i / 50 - 1)):.1f}" for i in range(101)
        )
        parts.append(f'<polyline points="{points}" class="tp-curve tp-curve-{name}"/>')
        legend.append(f'<span class="tp-curve-key"><i class="tp-curve-{name}"></i>{escape(strings.PAIRS[name])}</span>')
    view = f"0 0 {left + width + 12} {top + height + 22}"
    drawn, title = "".join(parts), escape(strings.CURVES)
    return (
        f'<figure class="tp-curves"><svg viewBox="{view}" role="img" aria-label="{title}">{drawn}</svg>'
        f"<figcaption>{title} {''.join(legend)}</figcaption></figure>"
    )


def _engine(where: str, engine: EngineInfo) -> list[str]:
    return [
        where,
        engine.purpose,
        f"{engine.backend} {engine.version}",
        engine.device,
        engine.precision,
        str(engine.threads or ""),
        engine.model,
    ]


def _camera(config: CameraConfig, health: CameraHealth | None) -> list[str]:
    if health is None:
        return [config.name, strings.STATES["waiting" if config.enabled else "disabled"][0], *[""] * 8]
    return [
        config.name,
        strings.STATES[health.state.value][0],
        f"{health.analysed_fps:.1f}",
        f"{health.decoded_fps:.1f}",
        f"{health.latency_p95_s * 1000:.0f} ms" if health.latency_p95_s is not None else "",
        f"{health.tracklets:,}",
        reasons(health.frames_skipped),
        f"{health.reconnects:,}",
        reasons(health.tracklets_refused),
        f"{health.clock_offset_s:+.1f} s" if health.clock_offset_s is not None else "",
    ]
