"""Shader sources. A program is made for what a surface needs: software renderers run every branch of a shader,
so one program for all patterns, lights and garments costs the sum of them for each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from models.synthetic.materials import Inset, Material, Pattern, Strap
from models.synthetic.patterns import PATTERN_CODE

__all__ = ["MAX_BLOBS", "SHADOW_FRAGMENT", "SHADOW_VERTEX", "VERTEX", "Band", "Variant", "fragment_source"]

MAX_BLOBS = 8
"""People whose contact shadows fall on the ground."""

_FRAME = f"""
#version 330
#define MAX_BLOBS {MAX_BLOBS}
layout(std140) uniform Frame {{
    mat4 clip_from_world;
    mat4 light_from_world;
    vec4 eye;             // w: height of the template's eyes
    vec4 key_way;         // towards the sun or the lamps overhead
    vec4 key_colour;
    vec4 sky_colour;
    vec4 ground_colour;
    vec4 haze;            // w: density per metre
    vec4 lamp;            // infrared illuminator; w: light besides
    vec4 lamp_way;        // w: power at one metre
    vec4 lamp_form;       // cosines of the inner and outer half angle
    vec4 heat;            // of the air, of skin above it, exponent for garments, of the sky below the air
    vec4 blobs[MAX_BLOBS];  // x, z, radius, strength
}};
"""

VERTEX = (
    _FRAME
    + """
in vec3 in_point;
in vec3 in_normal;
in vec3 in_coord;
in float in_cut;
in float in_shade;
out vec3 world;
out vec3 normal;
out vec3 coord;
out float cut;
out float shade;
out vec3 light_place;
void main() {
    world = in_point;
    normal = in_normal;
    coord = in_coord;
    cut = in_cut;
    shade = in_shade;
    vec4 place = vec4(in_point, 1.0);
    light_place = (light_from_world * place).xyz * 0.5 + 0.5;
    gl_Position = clip_from_world * place;
}
"""
)

SHADOW_VERTEX = (
    _FRAME
    + """
in vec3 in_point;
in float in_cut;
out float cut;
void main() {
    cut = in_cut;
    gl_Position = light_from_world * vec4(in_point, 1.0);
}
"""
)

SHADOW_FRAGMENT = """
#version 330
in float cut;
void main() { if (cut < 0.0) discard; }
"""

_SURFACE = """
layout(std140) uniform Surface {
    vec4 base;            // colour, infrared reflectance (people before a thermal camera: warmth)
    vec4 other;           // of the pattern
    vec4 look;            // pattern, scale, gloss, depth of creases
    vec4 extra;           // inset, its half width, phase
    vec4 within;          // of the inset
    vec4 strap_kind;
    vec4 webbing;         // of straps
};
uniform sampler2D noise;
uniform sampler2D shadow_map;
uniform int owner_number;
in vec3 world;
in vec3 normal;
in vec3 coord;
in float cut;
in float shade;
in vec3 light_place;
layout(location = 0) out vec4 radiance;
layout(location = 1) out uint owner;

float band(float x, float centre, float half_width) {
    float soft = max(fwidth(x), 1e-4);
    return 1.0 - smoothstep(half_width - soft, half_width + soft, abs(x - centre));
}
float wave(float x, float duty) {  // 1 on `duty` of every period, blurred away when too fine to be seen
    float soft = fwidth(x);
    float f = abs(fract(x) - 0.5) * 2.0;
    float hard = 1.0 - smoothstep(duty - soft * 2.0, duty + soft * 2.0, f);
    return mix(hard, duty, clamp(soft * 1.6 - 0.4, 0.0, 1.0));
}
vec4 rough(vec2 uv) { return texture(noise, uv); }

void main() {
    if (cut < 0.0) discard;
    float scale = look.y;
    vec2 phase = extra.zw;
    vec3 across = normalize(cross(dFdx(coord), dFdy(coord)) + vec3(1e-12));
    vec3 facing = abs(across);
    float gloss = look.z;
    float retro = 0.0;
    vec4 surface = base;
"""

_PERSON_PLACE = """
    vec2 uv = facing.z > 0.55 ? coord.xy : coord.zy;
    float front = step(0.0, coord.z);
    float eye_height = eye.w;
"""

_SCENERY_PLACE = """
    vec2 uv = facing.y > 0.7 ? coord.xz : (facing.x > facing.z ? coord.zy : coord.xy);
"""

_INSETS = {
    Inset.NONE: "",
    Inset.OPEN: """
    float wide = extra.y * (0.55 + 1.1 * clamp(1.5 - coord.y, 0.0, 0.6));
    surface = mix(surface, within, band(coord.x, 0.0, wide) * front);
""",
    Inset.ZIP: """
    surface = mix(surface, within, band(coord.x, 0.0, extra.y) * front);
""",
    Inset.VNECK: """
    float wide = max(0.0, (coord.y - 1.2) * 0.42);
    surface = mix(surface, within, band(coord.x, 0.0, wide) * front * step(1.2, coord.y));
""",
}

_PAIR = """
    float middle = mix(0.082, 0.135, clamp((1.4 - coord.y) / 0.3, 0.0, 1.0));
    float on = band(abs(coord.x), middle, 0.021) * step(1.1, coord.y) * max(front, step(1.34, coord.y));
    surface = mix(surface, webbing, on);
"""
_SLING = """
    float turn = SIGN;
    vec2 from = coord.xy - vec2(-0.09 * turn, 1.45);
    float away = dot(from, normalize(vec2(0.47, 0.3 * turn)) * vec2(1.0, turn * turn));
    surface = mix(surface, webbing, band(away, 0.0, 0.017) * step(abs(coord.x), 0.24));
"""
_STRAPS = {
    Strap.NONE: "",
    Strap.PAIR: _PAIR,
    Strap.LEFT: _SLING.replace("SIGN", "1.0"),
    Strap.RIGHT: _SLING.replace("SIGN", "-1.0"),
}

_HEM = """
    surface *= mix(0.72, 1.0, smoothstep(0.0, 0.012, cut));
"""

_NORMAL = """
    vec3 n = normalize(normal);
    if (!gl_FrontFacing) n = -n;
    float crease = 1.0;
"""

_CREASES = """
    // Bumps from the screen-space derivative of a height (Mikkelsen, "Bump mapping unparametrized surfaces", 2010).
    vec2 fold_uv = uv * vec2(1.0, 1.25) + 0.35 * vec2(coord.y, coord.x) + phase;
    vec4 fold = rough(fold_uv);
    float height = ((fold.r - 0.5) * 9.0 + (fold.b - 0.5) * 1.5) * look.w;
    vec3 sx = dFdx(world), sy = dFdy(world);
    vec3 r1 = cross(sy, n), r2 = cross(n, sx);
    float det = dot(sx, r1);
    vec3 gradient = sign(det) * (dFdx(height) * r1 + dFdy(height) * r2);
    n = normalize(abs(det) * n - gradient * 0.8);
    crease = 0.84 + 0.32 * fold.r;
"""

_PERSON_SKY = """
    float open_sky = shade * crease * mix(0.7, 1.0, smoothstep(0.0, 0.6, world.y));
"""

_SCENERY_SKY = """
    float open_sky = shade;
    if (world.y < 0.3) {
        for (int i = 0; i < MAX_BLOBS; ++i) {
            vec2 d = (world.xz - blobs[i].xy) / max(blobs[i].z, 1e-3);
            open_sky *= 1.0 - blobs[i].w * exp(-dot(d, d));
        }
    }
"""

_INFRARED = """
    vec3 look_way = normalize(eye.xyz - world);
    vec3 to_lamp = lamp.xyz - world;
    float square = dot(to_lamp, to_lamp);
    vec3 l = to_lamp * inversesqrt(square);
    float beam = smoothstep(lamp_form.y, lamp_form.x, dot(-l, lamp_way.xyz));
    float lit = max(dot(n, l), 0.0);
    float shine = gloss * pow(max(dot(n, normalize(l + look_way)), 0.0), 30.0);
    float back = surface.a * (0.12 + 0.88 * lit) * (0.5 + 0.5 * open_sky) + 1.5 * shine + 3.0 * retro * lit;
    float value = lamp_way.w * beam / square * back + lamp.w * surface.a * open_sky * (0.6 + 0.4 * n.y);
    radiance = vec4(vec3(value), 1.0);
    owner = uint(owner_number);
}
"""

_THERMAL = """
    OWN
    radiance = vec4(vec3(max(value, 0.0)), 1.0);
    owner = uint(owner_number);
}
"""

_PERSON_HEAT = """
    float emitted = 0.9 + 0.1 * max(dot(n, normalize(eye.xyz - world)), 0.0);  // less at grazing angles
    float value = heat.x + heat.y * pow(clamp(surface.a, 0.0, 1.0), heat.z) * emitted * (0.75 + 0.25 * crease);
"""

_SCENERY_HEAT = """
    // What is dark near the visible has taken up the day's sun; what is level or smooth mirrors the cold sky.
    float stored = 0.3 * heat.y * (0.4 - surface.a);
    float value = heat.x + stored * (0.6 + 0.4 * open_sky) - heat.w * (0.3 * max(n.y, 0.0) + 1.5 * gloss);
"""

_VISIBLE = """
    vec3 look_way = eye.xyz - world;
    float far = length(look_way);
    look_way /= far;
    vec3 around = mix(ground_colour.rgb, sky_colour.rgb, 0.5 + 0.5 * n.y) * open_sky;
    float lit = max(dot(n, key_way.xyz), 0.0);
    SHADOW
    float shine = gloss * pow(max(dot(n, normalize(key_way.xyz + look_way)), 0.0), 24.0);
    vec3 colour = surface.rgb * (around + key_colour.rgb * lit) + key_colour.rgb * shine * lit;
    colour += sky_colour.rgb * gloss * 0.25 * pow(1.0 - max(dot(n, look_way), 0.0), 4.0);
    radiance = vec4(mix(colour, haze.rgb, 1.0 - exp(-far * haze.w)), 1.0);
    owner = uint(owner_number);
}
"""

_SHADOW = """
    float seen = 0.0;
    vec2 texel = 1.0 / vec2(textureSize(shadow_map, 0));
    for (int i = 0; i < 4; ++i) {
        vec2 off = (vec2(i & 1, i >> 1) - 0.5) * 1.6;
        seen += step(light_place.z - 0.004, texture(shadow_map, light_place.xy + off * texel).r);
    }
    bool within_map = all(greaterThan(light_place.xy, vec2(0.01))) && all(lessThan(light_place.xy, vec2(0.99)));
    lit *= within_map ? seen * 0.25 : 1.0;
"""


class Band(Enum):
    """Which light a camera sees by."""

    VISIBLE = "visible"
    NEAR_INFRARED = "near infrared"
    THERMAL = "thermal"


@dataclass(frozen=True, slots=True)
class Variant:
    """What a program must be able to do."""

    person: bool
    band: Band
    shadows: bool
    pattern: Pattern
    inset: Inset
    strap: Strap
    creases: bool

    @classmethod
    def of(cls, material: Material, person: bool, band: Band, shadows: bool) -> Variant:
        """The variant that draws a material."""
        inset, strap = (material.inset, material.strap) if person else (Inset.NONE, Strap.NONE)
        shadows = shadows and band is Band.VISIBLE
        return cls(person, band, shadows, material.pattern, inset, strap, person and material.folds > 0)


def fragment_source(variant: Variant) -> str:
    """The fragment shader of a variant."""
    pieces = [_FRAME, _SURFACE, _PERSON_PLACE if variant.person else _SCENERY_PLACE]
    pieces += ["{", PATTERN_CODE[variant.pattern], "}"]  # a scope of its own
    if variant.person:
        pieces += ["{", _INSETS[variant.inset], _STRAPS[variant.strap], "}", _HEM]
    pieces += [_NORMAL, _CREASES if variant.creases else "", _PERSON_SKY if variant.person else _SCENERY_SKY]
    if variant.band is Band.VISIBLE:
        pieces.append(_VISIBLE.replace("SHADOW", _SHADOW if variant.shadows else ""))
    elif variant.band is Band.NEAR_INFRARED:
        pieces.append(_INFRARED)
    else:
        pieces.append(_THERMAL.replace("OWN", _PERSON_HEAT if variant.person else _SCENERY_HEAT))
    return "".join(pieces)
