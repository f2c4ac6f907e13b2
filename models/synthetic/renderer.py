"""Draws figures and scenery through OpenGL without a screen: radiance, and whose pixel each one is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from models.synthetic.dressing import Figure
from models.synthetic.materials import pack_materials, pack_warmth
from models.synthetic.shaders import (
    MAX_BLOBS,
    SHADOW_FRAGMENT,
    SHADOW_VERTEX,
    VERTEX,
    Band,
    Variant,
    fragment_source,
)
from models.synthetic.textures import noise_texture

if TYPE_CHECKING:
    from models.synthetic.scenery import Scenery

__all__ = ["Actor", "Heat", "Illumination", "Lamp", "Light", "Picture", "RenderError", "Renderer", "View", "probe"]

Floats = NDArray[np.float32]

_SHADOW_PX = 384
_MESHES_KEPT = 96
_TARGETS_KEPT = 48
_FRAME_BINDING, _SURFACE_BINDING = 1, 2
_FRAME_FLOATS = 16 + 16 + 10 * 4 + 4 * MAX_BLOBS
_SURFACE_STRIDE = 256
"""Bytes between materials in their buffer: what every driver accepts as an offset."""
_EGL: dict[str, Any] = {"backend": "egl", "libgl": "libGL.so.1", "libegl": "libEGL.so.1"}
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
class Heat:
    """What surfaces give off by themselves (8 to 14 micrometres), which is all that a thermal camera sees.

    Attributes:
        air: radiance of what is as warm as the air.
        skin: by how much skin outshines that.
        chill: exponent on a garment's share of that; above 1 for people who have been out in the cold for long.
        sky: by how much less what mirrors a clear sky gives off.
    """

    air: float
    skin: float
    chill: float
    sky: float


Illumination = Light | Lamp | Heat


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

    def in_world(self) -> tuple[Floats, Floats]:
        """Points and normals where the actor stands."""
        c, s = np.cos(self.heading), np.sin(self.heading)
        turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)
        shift = np.array([self.place[0], 0, self.place[1]], np.float32)
        return self.points @ turn.T + shift, self.normals @ turn.T


@dataclass(frozen=True)
class Picture:
    """What was drawn: linear radiance ``float32[H, W, 3]`` (but for a `Light` three equal channels), and owners
    ``uint8[H, W]``: 0 scenery, i the i-th actor."""

    radiance: Floats
    owners: NDArray[np.uint8]


class Renderer:
    """One OpenGL context and what was uploaded to it. Not to be shared between threads or processes.

    Args:
        eye_height_m: height of the template's eyes, where faces are painted.

    Raises:
        RenderError: no OpenGL without a screen here.
    """

    def __init__(self, eye_height_m: float) -> None:
        self._context = _open_context()
        gl = self._context
        self._eye_height_m = eye_height_m
        self._programs: dict[Variant, Any] = {}
        self._shadow_program = gl.program(vertex_shader=SHADOW_VERTEX, fragment_shader=SHADOW_FRAGMENT)
        self._shadow_program["Frame"].binding = _FRAME_BINDING
        self._frame = gl.buffer(reserve=_FRAME_FLOATS * 4, dynamic=True)
        noise = noise_texture()
        self._noise = gl.texture(noise.shape[1::-1], 4, noise.tobytes())
        self._noise.build_mipmaps()
        self._shadow_map = gl.depth_texture((_SHADOW_PX, _SHADOW_PX))
        self._shadow_map.compare_func = ""
        self._shadow_target = gl.framebuffer(depth_attachment=self._shadow_map)
        self._targets: dict[tuple[int, int], tuple[Any, ...]] = {}
        self._meshes: dict[int, _Mesh] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives the context and all that it holds back."""
        self._context.release()

    @property
    def device(self) -> str:
        """What draws, as OpenGL names it."""
        return str(self._context.info["GL_RENDERER"])

    def draw(self, view: View, scenery: Scenery, actors: list[Actor], light: Illumination) -> Picture:
        """Radiance and owners of a window, for a colour camera (`Light`), a near-infrared (`Lamp`) or a thermal one."""
        with self._context:  # another one may have been made current since
            return self._draw(view, scenery, actors, light)

    def _draw(self, view: View, scenery: Scenery, actors: list[Actor], light: Illumination) -> Picture:
        gl = self._context
        gl.enable(gl.DEPTH_TEST)
        band = _BANDS[type(light)]
        shadows = isinstance(light, Light) and light.shadows and bool(actors)
        meshes = [self._mesh(actor.figure, person=True) for actor in actors]
        for actor, mesh in zip(actors, meshes, strict=True):
            mesh.move(*actor.in_world())
        self._frame.write(self._frame_values(view, actors, light).tobytes())
        self._frame.bind_to_uniform_block(_FRAME_BINDING)
        if shadows:
            self._shadow_target.use()
            self._shadow_target.clear(depth=1.0)
            for mesh in meshes:
                mesh.draw_shadow(self._shadow_program)
        target = self._target(view.width_px, view.height_px)
        target.use()
        target.clear(*_sky(light), 1.0, depth=1.0)
        self._noise.use(0)
        self._shadow_map.use(1)
        everything = [*meshes, self._mesh(scenery, person=False)]  # people first: what they hide is not shaded
        for number, mesh in enumerate(everything, start=1):
            mesh.draw(self._program, number if number <= len(meshes) else 0, band, shadows)
        shape = (view.height_px, view.width_px)
        raw = np.frombuffer(target.read(components=4, attachment=0, dtype="f2"), np.float16)
        owners = np.frombuffer(target.read(components=1, attachment=1, dtype="u1", alignment=1), np.uint8)
        radiance = raw.reshape(*shape, 4)[::-1, :, :3].astype(np.float32)
        return Picture(radiance, np.ascontiguousarray(owners.reshape(shape)[::-1]))

    def _frame_values(self, view: View, actors: list[Actor], light: Illumination) -> Floats:
        """The uniform block ``Frame``, in the order of the shaders."""
        blobs = np.zeros((MAX_BLOBS, 4), np.float32)
        for row, actor in zip(blobs, actors, strict=False):
            row[:] = (*actor.place, 0.34, 0.5)
        shadow = np.eye(4, dtype=np.float32)
        rows: list[tuple[float, ...]] = [(0.0,) * 4] * 9
        if isinstance(light, Light):
            if actors:
                shadow = _light_matrix(np.array(light.key_way), np.array(actors[0].place))
            rows[:5] = [(*way, 0.0) for way in (light.key_way, light.key, light.sky, light.ground)] + [light.haze]
        elif isinstance(light, Lamp):
            inner, outer = (float(np.cos(np.radians(angle))) for angle in (light.inner_deg, light.outer_deg))
            rows[5:8] = [(*light.place, light.ambient), (*light.way, light.power), (inner, outer, 0.0, 0.0)]
        else:
            rows[8] = (light.air, light.skin, light.chill, light.sky)
        values = [view.clip_from_world.T, shadow.T, [(*view.eye, self._eye_height_m)], rows, blobs]
        return np.concatenate([np.asarray(v, np.float32).ravel() for v in values])

    def _program(self, variant: Variant) -> Any:
        if variant not in self._programs:
            program = self._context.program(vertex_shader=VERTEX, fragment_shader=fragment_source(variant))
            for block, binding in (("Frame", _FRAME_BINDING), ("Surface", _SURFACE_BINDING)):
                if block in program:
                    program[block].binding = binding
            for name, unit in (("noise", 0), ("shadow_map", 1)):
                if name in program:
                    program[name].value = unit
            self._programs[variant] = program
        return self._programs[variant]

    def _target(self, width: int, height: int) -> Any:
        if (width, height) not in self._targets:
            while len(self._targets) >= _TARGETS_KEPT:
                for thing in self._targets.pop(next(iter(self._targets))):
                    thing.release()
            colour = self._context.texture((width, height), 4, dtype="f2")
            owner = self._context.texture((width, height), 1, dtype="u1")
            depth = self._context.depth_renderbuffer((width, height))
            self._targets[width, height] = (self._context.framebuffer([colour, owner], depth), colour, owner, depth)
        return self._targets[width, height][0]

    def _mesh(self, owner: Figure | Scenery, person: bool) -> _Mesh:
        mesh = self._meshes.pop(id(owner), None)
        if mesh is None:
            while len(self._meshes) >= _MESHES_KEPT:
                self._meshes.pop(next(iter(self._meshes))).release()
            mesh = _Mesh(self._context, owner, person)
        self._meshes[id(owner)] = mesh  # most recent last
        return mesh


class _Mesh:
    """Buffers of one figure or scenery, drawn material by material; holds on to the owner, whose id is its key."""

    def __init__(self, context: Any, owner: Figure | Scenery, person: bool) -> None:
        self.owner = owner
        self._context = context
        self._person = person
        columns = [owner.coords, owner.cut[:, None], owner.shade[:, None]]
        self._moving = context.buffer(reserve=len(owner.points) * 24, dynamic=True)
        self._fixed = context.buffer(np.concatenate(columns, axis=1, dtype=np.float32).tobytes())
        self._order: list[tuple[int, Any]] = []
        of_face = owner.material[owner.triangles[:, 0]]
        for row in np.unique(of_face):
            faces = np.ascontiguousarray(owner.triangles[of_face == row], np.int32)
            self._order.append((int(row), context.buffer(faces.tobytes())))
        self._tables = [self._uploaded(pack_materials(owner.materials))]
        if person:
            self._tables.append(self._uploaded(pack_warmth(owner.materials)))
        self._arrays: dict[tuple[int, Variant | None], Any] = {}
        self.move(owner.points, owner.normals)

    def _uploaded(self, table: Floats) -> Any:
        padded = np.zeros((len(table), _SURFACE_STRIDE // 4), np.float32)
        padded[:, : table[0].size] = table.reshape(len(table), -1)
        return self._context.buffer(padded.tobytes())

    def move(self, points: Floats, normals: Floats) -> None:
        """Puts the vertices elsewhere, in world coordinates."""
        self._moving.write(np.concatenate([points, normals], axis=1, dtype=np.float32).tobytes())

    def draw(self, program_of: Callable[[Variant], Any], number: int, band: Band, shadows: bool) -> None:
        """Draws with the programs of the variants that the materials need; `number` goes to the owners."""
        table = self._tables[-1 if band is Band.THERMAL else 0]
        for row, order in self._order:
            variant = Variant.of(self.owner.materials[row], self._person, band, shadows)
            program = program_of(variant)
            if (row, variant) not in self._arrays:
                fixed = (self._fixed, "3f 1f 1f", "in_coord", "in_cut", "in_shade")
                layout = [(self._moving, "3f 3f", "in_point", "in_normal"), fixed]
                self._arrays[row, variant] = self._context.vertex_array(program, layout, order, skip_errors=True)
            table.bind_to_uniform_block(_SURFACE_BINDING, row * _SURFACE_STRIDE, _SURFACE_STRIDE)
            program["owner_number"].value = number
            self._arrays[row, variant].render()

    def draw_shadow(self, program: Any) -> None:
        """Draws depth only."""
        for row, order in self._order:
            if (row, None) not in self._arrays:
                layout = [(self._moving, "3f 12x", "in_point"), (self._fixed, "12x 1f 4x", "in_cut")]
                self._arrays[row, None] = self._context.vertex_array(program, layout, order)
            self._arrays[row, None].render()

    def release(self) -> None:
        """Frees the buffers."""
        buffers = [self._moving, self._fixed, *self._tables, *(order for _, order in self._order)]
        for thing in (*self._arrays.values(), *buffers):
            thing.release()


_BANDS: dict[type, Band] = {Light: Band.VISIBLE, Lamp: Band.NEAR_INFRARED, Heat: Band.THERMAL}


def _sky(light: Illumination) -> tuple[float, float, float]:
    """Radiance where there is nothing."""
    if isinstance(light, Light):
        return light.haze[:3]
    value = max(light.air - light.sky, 0.0) if isinstance(light, Heat) else 0.0
    return value, value, value


def probe() -> str:
    """What would draw here, as OpenGL names it.

    Raises:
        RenderError: nothing.
    """
    context = _open_context()
    device = str(context.info["GL_RENDERER"])
    context.release()
    return device


def _open_context() -> Any:
    try:
        import moderngl
    except ImportError as error:
        raise RenderError(_MISSING.format(reason=error)) from None
    try:
        return moderngl.create_context(standalone=True, **_EGL)
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
