// Colors as the network sees them: CIE Lab under D65, and sRGB as "#rrggbb".

const WHITE = [0.95047, 1, 1.08883];
const linear = (level) => (level <= 0.04045 ? level / 12.92 : ((level + 0.055) / 1.055) ** 2.4);
const encoded = (light) => (light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055);
const f = (t) => (t > (6 / 29) ** 3 ? Math.cbrt(t) : t / (3 * (6 / 29) ** 2) + 4 / 29);
const inverse = (t) => (t > 6 / 29 ? t ** 3 : 3 * (6 / 29) ** 2 * (t - 4 / 29));

export const levels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
export const hex = (rgb) => `#${rgb.map((level) => Math.round(level).toString(16).padStart(2, "0")).join("")}`;

export function lab(rgb) {
  const [r, g, b] = rgb.map((level) => linear(level / 255));
  const [x, y, z] = [
    0.4124564 * r + 0.3575761 * g + 0.1804375 * b,
    0.2126729 * r + 0.7151522 * g + 0.072175 * b,
    0.0193339 * r + 0.119192 * g + 0.9503041 * b,
  ].map((light, n) => f(light / WHITE[n]));
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

function rgb([l, a, b]) {
  const y = (l + 16) / 116;
  const [X, Y, Z] = [y + a / 500, y, y - b / 200].map((t, n) => WHITE[n] * inverse(t));
  return [
    3.2404542 * X - 1.5371385 * Y - 0.4985314 * Z,
    -0.969266 * X + 1.8760108 * Y + 0.041556 * Z,
    0.0556434 * X - 0.2040259 * Y + 1.0572252 * Z,
  ].map(encoded);
}

// The same hue at another lightness, with as much of its chroma as sRGB has there.
export function atLightness(color, lightness) {
  const [, a, b] = lab(levels(color));
  let low = 0, high = 1;
  for (let step = 0; step < 12; step += 1) {
    const part = step ? (low + high) / 2 : 1;
    const inside = rgb([lightness, a * part, b * part]).every((level) => level >= -0.001 && level <= 1.001);
    if (inside) low = part; else high = part;
    if (inside && !step) break;
  }
  return hex(rgb([lightness, a * low, b * low]).map((level) => 255 * Math.min(1, Math.max(0, level))));
}

const HUES = [[15, "pink"], [45, "red"], [70, "orange"], [105, "yellow"], [165, "green"], [215, "turquoise"],
  [297, "blue"], [335, "purple"], [361, "pink"]];

// A name for those who do not see it.
export function colorName(color) {
  const [l, a, b] = lab(levels(color));
  const chroma = Math.hypot(a, b), hue = (Math.atan2(b, a) * 180 / Math.PI + 360) % 360;
  const tone = l < 30 ? "dark " : l > 75 ? "light " : "";
  if (chroma < 6) return `${tone}gray`;
  let name = HUES.find(([end]) => hue < end)[1];
  if (name === "orange" && l < 55) name = "brown";
  if (name === "purple" && chroma > 75 && hue < 308) name = "blue"; // Lab bends the hue of strong blues
  return `${tone}${chroma < 18 ? "grayish " : ""}${name}`;
}
