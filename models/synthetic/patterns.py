"""GLSL of the patterns: each changes ``surface`` (colour and infrared reflectance), at ``uv`` or ``coord``."""

from __future__ import annotations

from models.synthetic.materials import Pattern

__all__ = ["PATTERN_CODE"]

PATTERN_CODE: dict[Pattern, str] = {
    Pattern.PLAIN: "",
    Pattern.STRIPES: """
    surface = mix(base, other, wave(coord.y / scale + phase.x, 0.45));
""",
    Pattern.CHECKS: """
    float a = wave(uv.x / scale + phase.x, 0.4), b = wave(coord.y / scale + phase.y, 0.4);
    surface = mix(base, other, 0.5 * (a + b));
""",
    Pattern.PINSTRIPES: """
    surface = mix(base, other, 0.7 * wave(uv.x / 0.025 + phase.x, 0.12));
""",
    Pattern.CAMOUFLAGE: """
    float n = rough(uv * 1.6 + phase).r;
    surface = mix(base, other, smoothstep(0.48, 0.53, n));
    surface.rgb *= mix(1.0, 0.45, smoothstep(0.56, 0.6, rough(uv * 1.3 + phase.yx + 0.4).r));
""",
    Pattern.YOKE: """
    surface = mix(base, other, smoothstep(-0.004, 0.004, coord.y - 1.2 - 0.12 * phase.x));
""",
    Pattern.CHEST_PRINT: """
    vec2 place = (coord.xy - vec2(0.0, 1.23 + 0.05 * phase.x)) / (vec2(0.05, 0.03) + 0.07 * phase);
    float shape = step(max(abs(place.x), abs(place.y)), 1.0) * front;
    float ink = rough(coord.xy * vec2(2.2, 5.0) + phase * 7.0).a + 0.1 * phase.y;
    surface = mix(base, other, shape * smoothstep(0.42, 0.5, ink));
""",
    Pattern.BACK_PRINT: """
    vec2 place = (coord.xy - vec2(0.0, 1.27)) / (vec2(0.09, 0.03) + 0.06 * phase);
    float shape = step(max(abs(place.x), abs(place.y)), 1.0) * (1.0 - front);
    float letters = step(0.35, fract(place.x * 3.5)) * (0.6 + 0.4 * step(0.5, rough(coord.xy * 6.0).g));
    surface = mix(base, other, shape * letters);
""",
    Pattern.DENIM: """
    float worn = front * smoothstep(0.12, 0.0, abs(abs(coord.x) - 0.13)) * smoothstep(0.25, 0.0, abs(coord.y - 0.7));
    surface = mix(base, other, clamp(0.6 * worn + 0.5 * (rough(uv * vec2(2.0, 0.7)).r - 0.35), 0.0, 1.0));
""",
    Pattern.MELANGE: """
    surface = mix(base, other, 0.55 * rough(uv * 9.0).g);
""",
    Pattern.SIDE_STRIPE: """
    surface = mix(base, other, band(coord.z, 0.0, 0.014) * step(0.1, abs(coord.x)));
""",
    Pattern.VEST: """
    float body = step(abs(coord.x), 0.19 + 0.1 * step(1.36, coord.y)) * step(0.93, coord.y);
    surface = mix(base, other, body);
    float braces = band(abs(coord.x), 0.11, 0.025) * step(1.14, coord.y);
    float bands = band(coord.y, 1.0, 0.025) + band(coord.y, 1.14, 0.025) + braces;
    retro = clamp(bands, 0.0, 1.0) * body;
    surface = mix(surface, vec4(0.55, 0.56, 0.55, 0.6), retro);
""",
    Pattern.SOLE: """
    surface = mix(other, base, smoothstep(0.022, 0.03, coord.y));
""",
    Pattern.FACE: """
    float y = coord.y - eye_height, x = abs(coord.x);
    float face = step(0.075, coord.z);
    float brow = face * band(y, 0.021, 0.0045) * band(x, 0.033, 0.02);
    float lid = face * (1.0 - smoothstep(0.7, 1.2, length(vec2((x - 0.032) / 0.017, y / 0.009))));
    float lips = face * (1.0 - smoothstep(0.7, 1.1, length(vec2(x / 0.026, (y + 0.072) / 0.009))));
    float beard = step(0.02, coord.z) * smoothstep(-0.035, -0.06, y + 0.25 * max(0.0, 0.05 - x) - 0.012);
    beard *= smoothstep(-0.16, -0.12, y) * (1.0 - lips) * step(x, 0.085);
    surface = mix(surface, other, clamp(0.75 * brow + 0.72 * scale * beard, 0.0, 1.0));
    surface = mix(surface, vec4(0.03, 0.025, 0.02, 0.18), 0.8 * lid);
    surface.rgb = mix(surface.rgb, surface.rgb * vec3(0.85, 0.5, 0.5), 0.7 * lips);
    surface.rgb *= 0.94 + 0.12 * rough(coord.xy * 3.0 + coord.z).r;
""",
    Pattern.HAIR: """
    float strand = rough(vec2(coord.x * 9.0 + coord.z * 7.0, coord.y * 1.1) + phase).g;
    surface *= 0.6 + 0.8 * strand;
""",
    Pattern.QUILTED: """
    float seam = abs(fract(coord.y / 0.07 + phase.x) - 0.5) * 2.0;
    surface.rgb *= mix(0.55, 1.0, smoothstep(0.0, 0.35, 1.0 - seam));
    surface.a *= mix(0.8, 1.0, smoothstep(0.0, 0.35, 1.0 - seam));
""",
    Pattern.ASPHALT: """
    float n = rough(uv * 0.9).g * 0.5 + rough(uv * 0.11).r;
    surface *= 0.55 + 0.62 * n;
    float stain = smoothstep(0.55, 0.7, rough(uv * 0.05 + phase).a);
    surface *= 1.0 - 0.3 * stain;
""",
    Pattern.PAVERS: """
    vec2 cell = uv / scale; cell.x += 0.5 * step(0.5, phase.y) * mod(floor(cell.y), 2.0);
    float joint = max(wave(cell.x + 0.5, 0.06), wave(cell.y + 0.5, 0.06));
    float tone = texture(noise, (floor(cell) + 0.5) / 256.0 * 7.0).g;
    surface *= (0.75 + 0.4 * tone) * (0.75 + 0.45 * rough(uv * 0.13).r) * (0.85 + 0.3 * rough(uv * 1.3).g);
    surface *= mix(1.0, 0.55, joint);
""",
    Pattern.BRICKS: """
    vec2 cell = uv / vec2(scale, scale * 0.36); cell.x += 0.5 * mod(floor(cell.y), 2.0);
    float joint = max(wave(cell.x + 0.5, 0.06), wave(cell.y + 0.5, 0.14));
    surface *= 0.7 + 0.55 * texture(noise, (floor(cell) + 0.5) / 256.0 * 5.0).g;
    surface = mix(surface, other, joint) * (0.8 + 0.35 * rough(uv * 0.2).r);
""",
    Pattern.TILES: """
    vec2 cell = uv / scale;
    float joint = max(wave(cell.x + 0.5, 0.025), wave(cell.y + 0.5, 0.025));
    surface = mix(surface * (0.92 + 0.14 * rough(uv * 0.6).r), other, joint);
""",
    Pattern.CONCRETE: """
    surface *= 0.62 + 0.5 * rough(uv * 0.17 + phase).r + 0.22 * rough(uv * 1.1).g;
""",
    Pattern.FOLIAGE: """
    float n = texture(noise, uv * 0.9 + phase).b;
    float leaf = texture(noise, uv * 2.1 + coord.zx * 0.7).g;
    if (n * 0.7 + leaf * 0.5 < 0.4) discard;
    surface *= 0.35 + 1.1 * leaf;
    surface.rgb = mix(surface.rgb, surface.rgb * vec3(1.3, 1.15, 0.6), 0.6 * rough(uv * 0.5).r);
""",
    Pattern.FACADE: """
    // windows in a wall
    vec2 cell = uv / vec2(scale, 3.2); vec2 inside = fract(cell);
    float pane = step(0.18, inside.x) * step(inside.x, 0.82) * step(0.3, inside.y) * step(inside.y, 0.86);
    surface *= 0.75 + 0.4 * rough(uv * 0.15 + phase).r;
    float mirror = 0.5 + 1.2 * texture(noise, (floor(cell) + 0.5) / 256.0 * 9.0).g;
    surface = mix(surface, other * mirror, pane);
    gloss = mix(gloss, 0.3, pane);
""",
    Pattern.SLATS: """
    surface *= mix(0.6, 1.0, wave(uv.y / scale, 0.75)) * (0.85 + 0.3 * rough(uv * 0.3).r);
""",
    Pattern.LINES: """
    // parking bays or a kerb line
    float line = wave(uv.x / scale + phase.x, 0.045);
    surface *= 0.6 + 0.5 * rough(uv * 0.2 + phase).r + 0.25 * rough(uv * 1.2).g;
    surface = mix(surface, other, line * (0.5 + 0.5 * rough(uv * 0.7).r));
""",
}
