"""The shader program: one for colour and near infrared, for people and scenery."""

from __future__ import annotations

from models.synthetic.materials import TEXELS

__all__ = ["FRAGMENT", "MAX_BLOBS", "SHADOW_FRAGMENT", "SHADOW_VERTEX", "VERTEX"]

MAX_BLOBS = 8
"""People whose contact shadows fall on the ground."""

VERTEX = """
#version 330
uniform mat4 clip_from_world;
uniform mat4 world_from_model;
uniform mat4 light_from_world;
in vec3 in_point;
in vec3 in_normal;
in vec3 in_coord;
in float in_cut;
in float in_shade;
in float in_material;
out vec3 world;
out vec3 normal;
out vec3 coord;
out float cut;
out float shade;
out vec3 light_place;
flat out int material;
void main() {
    vec4 place = world_from_model * vec4(in_point, 1.0);
    world = place.xyz;
    normal = mat3(world_from_model) * in_normal;
    coord = in_coord;
    cut = in_cut;
    shade = in_shade;
    material = int(in_material + 0.5);
    light_place = (light_from_world * place).xyz * 0.5 + 0.5;
    gl_Position = clip_from_world * place;
}
"""

SHADOW_VERTEX = """
#version 330
uniform mat4 clip_from_world;
uniform mat4 world_from_model;
in vec3 in_point;
in float in_cut;
out float cut;
void main() {
    cut = in_cut;
    gl_Position = clip_from_world * world_from_model * vec4(in_point, 1.0);
}
"""

SHADOW_FRAGMENT = """
#version 330
in float cut;
void main() { if (cut < 0.0) discard; }
"""

FRAGMENT = (
    """
#version 330
#define TEXELS """
    + str(TEXELS)
    + """
#define MAX_BLOBS """
    + str(MAX_BLOBS)
    + """
uniform sampler2D table;
uniform sampler2D noise;
uniform sampler2D shadow_map;
uniform int person;          // 0: scenery
uniform int infrared;
uniform float eye_height;    // of the template
uniform vec3 eye;
uniform vec3 key_way;        // towards the sun or the lamps overhead
uniform vec3 key_colour;
uniform vec3 sky_colour;
uniform vec3 ground_colour;
uniform int shadows;
uniform vec4 haze;           // colour, density per metre
uniform vec3 lamp;           // infrared illuminator
uniform vec3 lamp_way;
uniform vec4 lamp_form;      // power, cosine of inner and outer half angle, ambient
uniform vec4 blobs[MAX_BLOBS];  // x, z, radius, strength
in vec3 world;
in vec3 normal;
in vec3 coord;
in float cut;
in float shade;
in vec3 light_place;
flat in int material;
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
    vec4 base = texelFetch(table, ivec2(0, material), 0);
    vec4 other = texelFetch(table, ivec2(1, material), 0);
    vec4 look = texelFetch(table, ivec2(2, material), 0);
    vec4 extra = texelFetch(table, ivec2(3, material), 0);
    int pattern = int(look.x + 0.5);
    float scale = look.y;
    vec2 phase = extra.zw;
    vec3 facing = cross(dFdx(coord), dFdy(coord));
    vec3 flat_normal = normalize(facing + vec3(1e-12));
    vec3 across = abs(flat_normal);
    vec2 uv = person > 0 ? (across.z > 0.55 ? coord.xy : coord.zy)
                         : (across.y > 0.7 ? coord.xz : (across.x > across.z ? coord.zy : coord.xy));
    float front = person > 0 ? step(0.0, coord.z) : 0.0;
    vec4 surface = base;
    float gloss = look.z;
    float retro = 0.0;

    if (pattern == 1) surface = mix(base, other, wave(coord.y / scale + phase.x, 0.45));
    else if (pattern == 2) {
        float a = wave(uv.x / scale + phase.x, 0.4), b = wave(coord.y / scale + phase.y, 0.4);
        surface = mix(base, other, 0.5 * (a + b));
    }
    else if (pattern == 3) surface = mix(base, other, 0.7 * wave(uv.x / 0.025 + phase.x, 0.12));
    else if (pattern == 4) {
        float n = rough(uv * 1.6 + phase).r;
        surface = mix(base, other, smoothstep(0.48, 0.53, n));
        surface.rgb *= mix(1.0, 0.45, smoothstep(0.56, 0.6, rough(uv * 1.3 + phase.yx + 0.4).r));
    }
    else if (pattern == 5) surface = mix(base, other, smoothstep(-0.004, 0.004, coord.y - 1.2 - 0.12 * phase.x));
    else if (pattern == 6) {
        vec2 place = (coord.xy - vec2(0.0, 1.23 + 0.05 * phase.x)) / (vec2(0.05, 0.03) + 0.07 * phase);
        float shape = step(max(abs(place.x), abs(place.y)), 1.0) * front;
        surface = mix(base, other, shape * smoothstep(0.42, 0.5, rough(coord.xy * vec2(2.2, 5.0) + phase * 7.0).a + 0.1 * phase.y));
    }
    else if (pattern == 7) {
        vec2 place = (coord.xy - vec2(0.0, 1.27)) / (vec2(0.09, 0.03) + 0.06 * phase);
        float shape = step(max(abs(place.x), abs(place.y)), 1.0) * (1.0 - front);
        surface = mix(base, other, shape * step(0.35, fract(place.x * 3.5)) * (0.6 + 0.4 * step(0.5, rough(coord.xy * 6.0).g)));
    }
    else if (pattern == 8) {
        float worn = front * smoothstep(0.12, 0.0, abs(abs(coord.x) - 0.13)) * smoothstep(0.25, 0.0, abs(coord.y - 0.7));
        surface = mix(base, other, clamp(0.6 * worn + 0.5 * (rough(uv * vec2(2.0, 0.7)).r - 0.35), 0.0, 1.0));
    }
    else if (pattern == 9) surface = mix(base, other, 0.55 * rough(uv * 9.0).g);
    else if (pattern == 10) surface = mix(base, other, band(coord.z, 0.0, 0.014) * step(0.1, abs(coord.x)));
    else if (pattern == 11) {
        float body = step(abs(coord.x), 0.19 + 0.1 * step(1.36, coord.y)) * step(0.93, coord.y);
        surface = mix(base, other, body);
        float bands = band(coord.y, 1.0, 0.025) + band(coord.y, 1.14, 0.025) + band(abs(coord.x), 0.11, 0.025) * step(1.14, coord.y);
        retro = clamp(bands, 0.0, 1.0) * body;
        surface = mix(surface, vec4(0.55, 0.56, 0.55, 0.6), retro);
    }
    else if (pattern == 12) surface = mix(other, base, smoothstep(0.022, 0.03, coord.y));
    else if (pattern == 13) {
        float y = coord.y - eye_height, x = abs(coord.x);
        float face = step(0.075, coord.z);
        float brow = face * band(y, 0.021, 0.0045) * band(x, 0.033, 0.02);
        float lid = face * (1.0 - smoothstep(0.7, 1.2, length(vec2((x - 0.032) / 0.017, y / 0.009))));
        float lips = face * (1.0 - smoothstep(0.7, 1.1, length(vec2(x / 0.026, (y + 0.072) / 0.009))));
        float beard = step(0.02, coord.z) * smoothstep(-0.035, -0.06, y + 0.25 * max(0.0, 0.05 - x) - 0.012) * smoothstep(-0.16, -0.12, y) * (1.0 - lips);
        beard *= step(x, 0.085);
        surface = mix(surface, other, clamp(0.75 * brow + 0.72 * scale * beard, 0.0, 1.0));
        surface = mix(surface, vec4(0.03, 0.025, 0.02, 0.18), 0.8 * lid);
        surface.rgb = mix(surface.rgb, surface.rgb * vec3(0.85, 0.5, 0.5), 0.7 * lips);
        surface.rgb *= 0.94 + 0.12 * rough(coord.xy * 3.0 + coord.z).r;
    }
    else if (pattern == 14) {
        float strand = rough(vec2(coord.x * 9.0 + coord.z * 7.0, coord.y * 1.1) + phase).g;
        surface *= 0.6 + 0.8 * strand;
    }
    else if (pattern == 15) {
        float seam = abs(fract(coord.y / 0.07 + phase.x) - 0.5) * 2.0;
        surface.rgb *= mix(0.55, 1.0, smoothstep(0.0, 0.35, 1.0 - seam));
        surface.a *= mix(0.8, 1.0, smoothstep(0.0, 0.35, 1.0 - seam));
    }
    else if (pattern == 20) {
        float n = rough(uv * 0.9).g * 0.5 + rough(uv * 0.11).r;
        surface *= 0.55 + 0.62 * n;
        float stain = smoothstep(0.55, 0.7, rough(uv * 0.05 + phase).a);
        surface *= 1.0 - 0.3 * stain;
    }
    else if (pattern == 21) {
        vec2 cell = uv / scale; cell.x += 0.5 * step(0.5, phase.y) * mod(floor(cell.y), 2.0);
        float joint = max(wave(cell.x + 0.5, 0.06), wave(cell.y + 0.5, 0.06));
        float tone = texture(noise, (floor(cell) + 0.5) / 256.0 * 7.0).g;
        surface *= (0.75 + 0.4 * tone) * (0.75 + 0.45 * rough(uv * 0.13).r) * (0.85 + 0.3 * rough(uv * 1.3).g);
        surface *= mix(1.0, 0.55, joint);
    }
    else if (pattern == 22) {
        vec2 cell = uv / vec2(scale, scale * 0.36); cell.x += 0.5 * mod(floor(cell.y), 2.0);
        float joint = max(wave(cell.x + 0.5, 0.06), wave(cell.y + 0.5, 0.14));
        surface *= 0.7 + 0.55 * texture(noise, (floor(cell) + 0.5) / 256.0 * 5.0).g;
        surface = mix(surface, other, joint) * (0.8 + 0.35 * rough(uv * 0.2).r);
    }
    else if (pattern == 23) {
        vec2 cell = uv / scale;
        float joint = max(wave(cell.x + 0.5, 0.025), wave(cell.y + 0.5, 0.025));
        surface = mix(surface * (0.92 + 0.14 * rough(uv * 0.6).r), other, joint);
    }
    else if (pattern == 24) surface *= 0.62 + 0.5 * rough(uv * 0.17 + phase).r + 0.22 * rough(uv * 1.1).g;
    else if (pattern == 25) {
        float n = texture(noise, uv * 0.9 + phase).b;
        float leaf = texture(noise, uv * 2.1 + coord.zx * 0.7).g;
        if (n * 0.7 + leaf * 0.5 < 0.4) discard;
        surface *= 0.35 + 1.1 * leaf;
        surface.rgb = mix(surface.rgb, surface.rgb * vec3(1.3, 1.15, 0.6), 0.6 * rough(uv * 0.5).r);
    }
    else if (pattern == 26) {  // windows in a wall
        vec2 cell = uv / vec2(scale, 3.2); vec2 inside = fract(cell);
        float pane = step(0.18, inside.x) * step(inside.x, 0.82) * step(0.3, inside.y) * step(inside.y, 0.86);
        surface *= 0.75 + 0.4 * rough(uv * 0.15 + phase).r;
        float mirror = 0.5 + 1.2 * texture(noise, (floor(cell) + 0.5) / 256.0 * 9.0).g;
        surface = mix(surface, other * mirror, pane);
        gloss = mix(gloss, 0.3, pane);
    }
    else if (pattern == 27) surface *= mix(0.6, 1.0, wave(uv.y / scale, 0.75)) * (0.85 + 0.3 * rough(uv * 0.3).r);
    else if (pattern == 28) {  // parking bays or a kerb line
        float line = wave(uv.x / scale + phase.x, 0.045);
        surface *= 0.6 + 0.5 * rough(uv * 0.2 + phase).r + 0.25 * rough(uv * 1.2).g;
        surface = mix(surface, other, line * (0.5 + 0.5 * rough(uv * 0.7).r));
    }

    if (person > 0) {
        int inset = int(extra.x + 0.5);
        vec4 within = texelFetch(table, ivec2(4, material), 0);
        if (inset == 1 || inset == 2) {
            float wide = inset == 2 ? extra.y : extra.y * (0.55 + 1.1 * clamp(1.5 - coord.y, 0.0, 0.6));
            surface = mix(surface, within, band(coord.x, 0.0, wide) * front);
        } else if (inset == 3) {
            surface = mix(surface, within, band(coord.x, 0.0, max(0.0, (coord.y - 1.2) * 0.42)) * front * step(1.2, coord.y));
        }
        int strap = int(texelFetch(table, ivec2(5, material), 0).x + 0.5);
        vec4 webbing = texelFetch(table, ivec2(6, material), 0);
        if (strap == 1) {
            float middle = mix(0.082, 0.135, clamp((1.4 - coord.y) / 0.3, 0.0, 1.0));
            float on = band(abs(coord.x), middle, 0.021) * step(1.1, coord.y) * max(front, step(1.34, coord.y));
            surface = mix(surface, webbing, on);
        } else if (strap > 1) {
            float sign_x = strap == 2 ? 1.0 : -1.0;
            vec2 from = coord.xy - vec2(-0.09 * sign_x, 1.45);
            float away = dot(from, normalize(vec2(0.47, 0.3 * sign_x)) * vec2(1.0, 1.0));
            surface = mix(surface, webbing, band(away, 0.0, 0.017) * step(abs(coord.x), 0.24));
        }
        surface *= mix(0.72, 1.0, smoothstep(0.0, 0.012, cut));  // hems
    }

    vec3 n = normalize(normal);
    if (!gl_FrontFacing) n = -n;
    float crease = 1.0;
    if (person > 0 && look.w > 0.0) {  // creases: screen-space derivative of a height (Mikkelsen 2010)
        vec2 fold_uv = uv * vec2(1.1, 1.5) + 0.35 * vec2(coord.y, coord.x) + phase;
        vec4 h4 = rough(fold_uv);
        float height = (h4.r - 0.5) * 9.0 * look.w + (rough(fold_uv * 2.3).a - 0.5) * 3.5 * look.w;
        vec3 sx = dFdx(world), sy = dFdy(world);
        vec3 r1 = cross(sy, n), r2 = cross(n, sx);
        float det = dot(sx, r1);
        vec3 gradient = sign(det) * (dFdx(height) * r1 + dFdy(height) * r2);
        n = normalize(abs(det) * n - gradient * 0.8);
        crease = 0.82 + 0.36 * h4.r;
    }
    vec3 look_way = normalize(eye - world);
    float open_sky = shade * crease;
    if (person > 0) open_sky *= mix(0.7, 1.0, smoothstep(0.0, 0.6, world.y));
    else if (flat_normal.y * sign(flat_normal.y) > 0.7 && world.y < 0.3) {
        for (int i = 0; i < MAX_BLOBS; ++i) {
            vec2 d = (world.xz - blobs[i].xy) / max(blobs[i].z, 1e-3);
            open_sky *= 1.0 - blobs[i].w * exp(-dot(d, d));
        }
    }
    vec3 colour;
    if (infrared == 1) {
        vec3 to_lamp = lamp - world;
        float square = dot(to_lamp, to_lamp);
        vec3 l = to_lamp * inversesqrt(square);
        float beam = smoothstep(lamp_form.z, lamp_form.y, dot(-l, lamp_way));
        float lit = max(dot(n, l), 0.0);
        float shine = gloss * pow(max(dot(n, normalize(l + look_way)), 0.0), 30.0);
        float rho = surface.a;
        float value = lamp_form.x * beam / square * (rho * (0.12 + 0.88 * lit) * (0.5 + 0.5 * open_sky) + 1.5 * shine + 3.0 * retro * lit);
        value += lamp_form.w * rho * open_sky * (0.6 + 0.4 * n.y);
        colour = vec3(value);
    } else {
        vec3 around = mix(ground_colour, sky_colour, 0.5 + 0.5 * n.y) * open_sky;
        float lit = max(dot(n, key_way), 0.0);
        if (shadows == 1 && lit > 0.0) {
            float seen = 0.0;
            vec2 texel = 1.0 / vec2(textureSize(shadow_map, 0));
            for (int i = 0; i < 4; ++i) {
                vec2 off = (vec2(i & 1, i >> 1) - 0.5) * 1.6;
                seen += step(light_place.z - 0.004, texture(shadow_map, light_place.xy + off * texel).r);
            }
            bool within_map = all(greaterThan(light_place.xy, vec2(0.01))) && all(lessThan(light_place.xy, vec2(0.99)));
            lit *= within_map ? seen * 0.25 : 1.0;
        }
        float shine = gloss * pow(max(dot(n, normalize(key_way + look_way)), 0.0), 24.0);
        colour = surface.rgb * (around + key_colour * lit) + key_colour * shine * lit;
        colour += sky_colour * gloss * 0.25 * pow(1.0 - max(dot(n, look_way), 0.0), 4.0);
    }
    float far = length(eye - world);
    colour = mix(colour, haze.rgb, infrared == 1 ? 0.0 : 1.0 - exp(-far * haze.w));
    radiance = vec4(colour, 1.0);
    owner = uint(person);
}
"""
)
