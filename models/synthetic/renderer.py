"""Draws figures and scenery through OpenGL without a screen: radiance, and whose pixel each one is."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from models.synthetic.dressing import Figure
from models.synthetic.materials import pack_materials
from models.synthetic.shaders import FRAGMENT, MAX_BLOBS, SHADOW_FRAGMENT, SHADOW_VERTEX, VERTEX
from models.synthetic.textures import noise_texture

if TYPE_CHECKING:
    from models.synthetic.scenery import Scenery

__all__ = ["Actor", "Lamp", "Light", "Picture", "RenderError", "Renderer", "View"]

Floats = NDArray[np.float32]

_SHADOW_PX = 384
_FIGURES_KEPT = 24
_MISSING = (
    "cannot open an OpenGL context without a screen ({reason}). Install Mesa's software renderer and EGL "
    "(Debian, Ubuntu: apt-get install libegl1 libgl1 libgl1-mesa-dri; Fedora: dnf install mesa-libEGL "
    "mesa-libGL mesa-dri-drivers) or a GPU driver with EGL, and pip install 'tapetum[synth]'"
)


class RenderError(RuntimeError):
    """Nothing can be drawn here; the message says what to install."""


@dataclass(frozen=True)
class Light:
    """Light for colour cameras; colours are linear irradiance.

    Attributes:
        key_way: unit vector towards the sun or the lamps overhead.
        shadows: whether the key light throws hard shadows.
        haze: colour and density per metre.
    """

    key_way: tuple[float, float, float]
    key: tuple[float, float, float]
    sky: tuple[float, float, float]
    ground: tuple[float, float, float]
    shadows: bool
    haze: tuple[float, float, float, float]


@dataclass(frozen=True)
class Lamp:
    """A near-infrared illuminator: place, direction, power at one metre, beam, and what light there is besides."""

    place: tuple[float, float, float]
    way: tuple[float, float, float]
    power: float
    inner_deg: float
    outer_deg: float
    ambient: float


@dataclass(frozen=True)
class View:
    """A window of a camera's picture: ``clip_from_world [4, 4]``, where the eye is, and the window's size."""

    clip_from_world: Floats
    eye: Floats
    width_px: int
    height_px: int


@dataclass(frozen=True)
class Actor:
    """A figure in a pose at a place: points and normals ``[N, 3]``, heading (radians about y, 0 along z)."""

    figure: Figure
    points: Floats
    normals: Floats
    place: tuple[float, float]
    heading: float

    @property
    def world_from_model(self) -> Floats:
        """``[4, 4]``."""
        c, s = np.cos(self.heading), np.sin(self.heading)
        x, z = self.place
        return np.array([[c, 0, s, x], [0, 1, 0, 0], [-s, 0, c, z], [0, 0, 0, 1]], np.float32)


@dataclass(frozen=True)
class Picture:
    """What was drawn: linear radiance ``float32[H, W, 3]`` (infrared: three equal channels), and owners
    ``uint8[H, W]``: 0 scenery, i the i-th actor."""

    radiance: Floats
    owners: NDArray[np.uint8]


class Renderer:
    """One OpenGL context and what was uploaded to it. Not to be shared between threads or processes.

    Raises:
        RenderError: no OpenGL without a screen here.
    """

    def __init__(self, eye_height_m: float) -> None:
        self._context = _open_context()
        gl = self._context
        self._program = gl.program(vertex_shader=VERTEX, fragment_shader=FRAGMENT)
        self._shadow_program = gl.program(vertex_shader=SHADOW_VERTEX, fragment_shader=SHADOW_FRAGMENT)
        noise = noise_texture()
        self._noise = gl.texture(noise.shape[1::-1], 4, noise.tobytes())
        self._noise.build_mipmaps()
        self._noise.anisotropy = 4.0
        self._shadow_map = gl.depth_texture((_SHADOW_PX, _SHADOW_PX))
        self._shadow_map.compare_func = ""
        self._shadow_target = gl.framebuffer(depth_attachment=self._shadow_map)
        self._targets: dict[tuple[int, int], Any] = {}
        self._figures: dict[int, _Uploaded] = {}
        self._scenery: dict[int, _Uploaded] = {}
        self._set("eye_height", eye_height_m)
        self._set("table", 0)
        self._set("noise", 1)
        self._set("shadow_map", 2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Gives the context and all that it holds back."""
        self._context.release()

    @property
    def device(self) -> str:
        """What draws, as OpenGL names it."""
        return str(self._context.info["GL_RENDERER"])

    def draw(self, view: View, scenery: Scenery, actors: list[Actor], light: Light | None, lamp: Lamp | None) -> Picture:
        """Radiance and owners of a window.

        Args:
            light: for a colour camera; exactly one of `light` and `lamp` is given.
            lamp: for a near-infrared camera.
        """
        if (light is None) == (lamp is None):
            raise ValueError("Renderer.draw: expected either a light or a lamp, got both or none")
        gl = self._context
        gl.enable(gl.DEPTH_TEST)
        bodies = [self._figure(actor) for actor in actors]
        ground = self._scene(scenery)
        background = (0.0, 0.0, 0.0)
        if light is not None:
            background = light.haze[:3]
            self._light(light, actors, bodies)
        if lamp is not None:
            self._lamp(lamp)
        target = self._target(view.width_px, view.height_px)
        target.use()
        gl.viewport = (0, 0, view.width_px, view.height_px)
        target.clear(*background, 1.0, depth=1.0)
        self._set("clip_from_world", view.clip_from_world.T)
        self._set("eye", tuple(map(float, view.eye)))
        blobs = np.zeros((MAX_BLOBS, 4), np.float32)
        for i, actor in enumerate(actors[:MAX_BLOBS]):
            blobs[i] = (*actor.place, 0.34, 0.5)
        self._set("blobs", blobs)
        self._noise.use(1)
        self._shadow_map.use(2)
        self._set("person", 0)
        self._set("world_from_model", np.eye(4, dtype=np.float32))
        ground.draw()
        for i, (actor, body) in enumerate(zip(actors, bodies, strict=True)):
            self._set("person", i + 1)
            self._set("world_from_model", actor.world_from_model.T)
            body.draw()
        raw = np.frombuffer(target.read(components=4, attachment=0, dtype="f2"), np.float16)
        owners = np.frombuffer(target.read(components=1, attachment=1, dtype="u1", alignment=1), np.uint8)
        shape = (view.height_px, view.width_px)
        radiance = raw.reshape(*shape, 4)[::-1, :, :3].astype(np.float32)
        return Picture(np.ascontiguousarray(radiance), np.ascontiguousarray(owners.reshape(shape)[::-1]))

    def _light(self, light: Light, actors: list[Actor], bodies: list[_Uploaded]) -> None:
        self._set("infrared", 0)
        for name, value in (("key_way", light.key_way), ("key_colour", light.key), ("sky_colour", light.sky)):
            self._set(name, value)
        self._set("ground_colour", light.ground)
        self._set("haze", light.haze)
        self._set("shadows", int(light.shadows and bool(actors)))
        if light.shadows and actors:
            matrix = _light_matrix(np.array(light.key_way), np.array(actors[0].place))
            self._set("light_from_world", matrix.T)
            self._shadow_target.use()
            self._context.viewport = (0, 0, _SHADOW_PX, _SHADOW_PX)
            self._shadow_target.clear(depth=1.0)
            self._shadow_program["clip_from_world"].write(np.ascontiguousarray(matrix.T).tobytes())
            for actor, body in zip(actors, bodies, strict=True):
                world = np.ascontiguousarray(actor.world_from_model.T)
                self._shadow_program["world_from_model"].write(world.tobytes())
                body.draw_shadow()

    def _lamp(self, lamp: Lamp) -> None:
        self._set("infrared", 1)
        self._set("shadows", 0)
        self._set("lamp", lamp.place)
        self._set("lamp_way", lamp.way)
        inner, outer = (float(np.cos(np.radians(a))) for a in (lamp.inner_deg, lamp.outer_deg))
        self._set("lamp_form", (lamp.power, inner, outer, lamp.ambient))

    def _set(self, name: str, value: object) -> None:
        """Sets a uniform, unless the compiler found it unused."""
        uniform = self._program.get(name, None)
        if uniform is None:
            return
        if isinstance(value, np.ndarray):
            uniform.write(np.ascontiguousarray(value, np.float32).tobytes())
        else:
            uniform.value = value

    def _target(self, width: int, height: int) -> Any:
        if (width, height) not in self._targets:
            if len(self._targets) > 64:
                for target, *attached in self._targets.values():
                    for thing in (target, *attached):
                        thing.release()
                self._targets.clear()
            colour = self._context.texture((width, height), 4, dtype="f2")
            owner = self._context.texture((width, height), 1, dtype="u1")
            depth = self._context.depth_renderbuffer((width, height))
            framebuffer = self._context.framebuffer([colour, owner], depth)
            self._targets[width, height] = (framebuffer, colour, owner, depth)
        return self._targets[width, height][0]

    def _figure(self, actor: Actor) -> _Uploaded:
        figure = actor.figure
        key = id(figure)
        if key not in self._figures:
            while len(self._figures) >= _FIGURES_KEPT:
                self._figures.pop(next(iter(self._figures))).release()
            self._figures[key] = _Uploaded(
                self._context,
                (self._program, self._shadow_program),
                figure,
                len(figure.points),
                (figure.coords, figure.cut, figure.shade, figure.material),
                figure.triangles,
                pack_materials(list(figure.materials)),
            )
        uploaded = self._figures.pop(key)
        self._figures[key] = uploaded  # most recent last
        uploaded.move(actor.points, actor.normals)
        return uploaded

    def _scene(self, scenery: Scenery) -> _Uploaded:
        key = id(scenery)
        if key not in self._scenery:
            while len(self._scenery) >= _FIGURES_KEPT:
                self._scenery.pop(next(iter(self._scenery))).release()
            count = len(scenery.points)
            ones = np.ones(count, np.float32)
            self._scenery[key] = _Uploaded(
                self._context,
                (self._program, self._shadow_program),
                scenery,
                count,
                (scenery.points, ones, scenery.shade, scenery.material),
                scenery.triangles,
                pack_materials(list(scenery.materials)),
            )
            self._scenery[key].move(scenery.points, scenery.normals)
        return self._scenery[key]


class _Uploaded:
    """Buffers of one mesh and its table of materials; holds on to the owner, whose id is its key."""

    def __init__(
        self,
        context: Any,
        programs: tuple[Any, Any],
        owner: object,
        count: int,
        fixed: tuple[Floats, Floats, Floats, NDArray[np.int32]],
        triangles: NDArray[np.int32],
        materials: Floats,
    ) -> None:
        self.owner = owner
        coords, cut, shade, material = fixed
        columns = np.concatenate([coords, cut[:, None], shade[:, None], material[:, None]], axis=1, dtype=np.float32)
        self._moving = context.buffer(reserve=count * 24, dynamic=True)
        self._fixed = context.buffer(columns.tobytes())
        self._order = context.buffer(np.ascontiguousarray(triangles, np.int32).tobytes())
        self._table = context.texture((materials.shape[1], materials.shape[0]), 4, materials.tobytes(), dtype="f4")
        self._table.filter = (context.NEAREST, context.NEAREST)
        program, shadow = programs
        names = ("in_coord", "in_cut", "in_shade", "in_material")
        self._mesh = context.vertex_array(
            program,
            [(self._moving, "3f 3f", "in_point", "in_normal"), (self._fixed, "3f 1f 1f 1f", *names)],
            self._order,
        )
        self._shadow = context.vertex_array(
            shadow, [(self._moving, "3f 12x", "in_point"), (self._fixed, "12x 1f 8x", "in_cut")], self._order
        )

    def move(self, points: Floats, normals: Floats) -> None:
        self._moving.write(np.concatenate([points, normals], axis=1, dtype=np.float32).tobytes())

    def draw(self) -> None:
        self._table.use(0)
        self._mesh.render()

    def draw_shadow(self) -> None:
        self._shadow.render()

    def release(self) -> None:
        for thing in (self._mesh, self._shadow, self._moving, self._fixed, self._order, self._table):
            thing.release()


def _open_context() -> Any:
    try:
        import moderngl
    except ImportError as error:
        raise RenderError(_MISSING.format(reason=error)) from None
    try:
        return moderngl.create_context(standalone=True, backend="egl", libgl="libGL.so.1", libegl="libEGL.so.1")
    except Exception as error:  # the loaders below moderngl raise bare Exception
        raise RenderError(_MISSING.format(reason=error)) from None


def _light_matrix(way: NDArray[np.float64], centre: NDArray[np.float64]) -> Floats:
    """Orthographic clip matrix ``[4, 4]`` of a far light around a person."""
    forward = -way / np.linalg.norm(way)
    right = np.cross(forward, [0, 1, 0])
    right /= max(float(np.linalg.norm(right)), 1e-6)
    up = np.cross(right, forward)
    middle = np.array([centre[0], 0.9, centre[1]])
    view = np.eye(4)
    view[:3, :3] = np.stack([right / 2.6, up / 2.6, forward / 8.0])
    view[:3, 3] = -view[:3, :3] @ middle
    return view.astype(np.float32)
