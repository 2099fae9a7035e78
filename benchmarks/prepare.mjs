// The first system's way from seeds to payloads, in plain JavaScript for node: one palette after
// the other, objects all the way, JSON.stringify at the end. Written from the description of the
// seed format; reads a job from stdin, says on stdout what it cost.
import { readFileSync } from "node:fs";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-$";
const VALUES = new Map([...ALPHABET].map((character, value) => [character, value]));
const DEFAULT_GLOBALS = [0, 1, 1, 0];
const STEPS = 11;
const TAU = Math.PI * 2;

const job = JSON.parse(readFileSync(0, "utf8"));
const colorNames = Object.entries(job.colorNames).map(([name, rgb]) => ({ name, rgb }));

function decompress(packed) {
  let index = 0;
  let value = VALUES.get(packed[index++]) ?? 0;
  let mask = 32;
  const readBits = (count) => {
    let bits = 0;
    for (let power = 0; power < count; power++) {
      if (value & mask) bits |= 1 << power;
      mask >>= 1;
      if (mask === 0) {
        mask = 32;
        value = VALUES.get(packed[index++]) ?? 0;
      }
    }
    return bits;
  };

  const kind = readBits(2);
  if (kind > 1) return "";
  let phrase = String.fromCharCode(readBits(kind === 0 ? 8 : 16));
  const dictionary = [0, 1, 2, phrase];
  const output = [phrase];
  let enlargeIn = 4;
  let width = 3;
  while (index <= packed.length) {
    let code = readBits(width);
    if (code === 2) return output.join("");
    if (code < 2) {
      dictionary.push(String.fromCharCode(readBits(code === 0 ? 8 : 16)));
      code = dictionary.length - 1;
      enlargeIn--;
    }
    if (enlargeIn === 0) {
      enlargeIn = 2 ** width;
      width++;
    }
    const entry = dictionary[code] ?? (code === dictionary.length ? phrase + phrase[0] : null);
    if (entry === null) return null;
    output.push(entry);
    dictionary.push(phrase + entry[0]);
    enlargeIn--;
    phrase = entry;
    if (enlargeIn === 0) {
      enlargeIn = 2 ** width;
      width++;
    }
  }
  return "";
}

const round3 = (number) => Number(number.toFixed(3));

function parseNumber(token) {
  if (token.startsWith(".")) return parseFloat("0" + token);
  if (token.startsWith("-.")) return parseFloat("-0" + token.slice(1));
  return parseFloat(token);
}

function readLegacy(seed) {
  const csv = decompress(seed);
  if (!csv) throw new Error("Invalid seed: failed to decompress or empty result");
  const numbers = csv.split(",").map(parseNumber);
  if (numbers.length !== 12 && numbers.length !== 16) throw new Error("Invalid seed format");
  if (numbers.some(Number.isNaN)) throw new Error("Invalid seed: not a number");
  return numbers.map(round3);
}

function readAligned(seed) {
  const packed = Buffer.from(seed.slice(1), "base64url");
  let bits = 0;
  let count = 0;
  let index = 0;
  const readBits = (width) => {
    while (count < width) {
      bits = (bits << 8) | packed[index++];
      count += 8;
    }
    count -= width;
    const number = bits >> count;
    bits &= (1 << count) - 1;
    return number;
  };
  const numbers = Array.from({ length: 12 }, () => (readBits(18) - 131072) / 1000);
  if (seed.length === 45) {
    for (let i = 0; i < 4; i++) numbers.push((readBits(12) - 2048) / 1000);
  }
  return numbers;
}

function deserialize(seed) {
  const numbers = seed.startsWith("_") ? readAligned(seed) : readLegacy(seed);
  const coeffs = [0, 3, 6, 9].map((start) => numbers.slice(start, start + 3));
  const globals = numbers.length === 16 ? numbers.slice(12) : DEFAULT_GLOBALS;
  return { coeffs, globals };
}

function applyGlobals([a, b, c, d], [exposure, contrast, frequency, phase]) {
  return [
    a.map((v) => v + exposure),
    b.map((v) => v * contrast),
    c.map((v) => v * frequency),
    d.map((v) => v + phase),
  ];
}

function cosineGradient(steps, [a, b, c, d]) {
  return Array.from({ length: steps }, (_, i) => {
    const t = steps > 1 ? i / (steps - 1) : 0;
    return a.map((offset, channel) => {
      const value = offset + b[channel] * Math.cos(TAU * (c[channel] * t + d[channel]));
      return Math.round(Math.max(0, Math.min(1, value)) * 255);
    });
  });
}

const rgbToHex = (rgb) => "#" + rgb.map((v) => v.toString(16).padStart(2, "0")).join("");

function rgbToHsl(rgb) {
  const [r, g, b] = rgb.map((v) => v / 255);
  const max = Math.max(r, g, b);
  const min = Math.min(r, g, b);
  const l = (max + min) / 2;
  let h = 0;
  let s = 0;
  if (max !== min) {
    const d = max - min;
    s = l > 0.5 ? d / (2 - max - min) : d / (max + min);
    if (max === r) h = (g - b) / d + (g < b ? 6 : 0);
    else if (max === g) h = (b - r) / d + 2;
    else h = (r - g) / d + 4;
    h /= 6;
  }
  return [Math.round(h * 360), Math.round(s * 100), Math.round(l * 100)];
}

const toLinear = (v) => (v > 0.04045 ? ((v + 0.055) / 1.055) ** 2.4 : v / 12.92) * 100;
const labCurve = (t) => (t > 0.008856 ? t ** (1 / 3) : (903.3 * t + 16) / 116);

function rgbToLch(rgb) {
  const [r, g, b] = rgb.map((v) => toLinear(v / 255));
  const x = labCurve((r * 0.4124564 + g * 0.3575761 + b * 0.1804375) / 95.047);
  const y = labCurve((r * 0.2126729 + g * 0.7151522 + b * 0.072175) / 100);
  const z = labCurve((r * 0.0193339 + g * 0.119192 + b * 0.9503041) / 108.883);
  const labA = 500 * (x - y);
  const labB = 200 * (y - z);
  let h = Math.atan2(labB, labA) * (180 / Math.PI);
  if (h < 0) h += 360;
  return [116 * y - 16, Math.sqrt(labA * labA + labB * labB), h].map(Math.round);
}

function nearestName([r, g, b]) {
  let best = colorNames[0].name;
  let least = Infinity;
  for (const { name, rgb } of colorNames) {
    const distance = (r - rgb[0]) ** 2 + (g - rgb[1]) ** 2 + (b - rgb[2]) ** 2;
    if (distance < least) {
      least = distance;
      best = name;
    }
  }
  return best;
}

function userMessage(seed) {
  const { coeffs, globals } = deserialize(seed);
  const rgb = cosineGradient(STEPS, applyGlobals(coeffs, globals));
  return JSON.stringify({
    hex: rgb.map(rgbToHex),
    rgb,
    hsl: rgb.map(rgbToHsl),
    lch: rgb.map(rgbToLch),
    colorNames: [...new Set(rgb.map(nearestName))],
  });
}

const { system, schema, models } = job;

function openaiBody({ id, temperature, maxTokens }, user, responseFormat) {
  return {
    model: id,
    max_completion_tokens: maxTokens,
    messages: [
      { role: "system", content: system },
      { role: "user", content: user },
    ],
    temperature,
    response_format: responseFormat,
  };
}

const REQUEST = {
  openai: (customId, user) => ({
    custom_id: customId,
    method: "POST",
    url: "/v1/chat/completions",
    body: openaiBody(models.openai, user, {
      type: "json_schema",
      json_schema: { name: "answer", strict: true, schema },
    }),
  }),
  anthropic: (customId, user) => ({
    custom_id: customId,
    params: {
      model: models.anthropic.id,
      max_tokens: models.anthropic.maxTokens,
      system,
      messages: [{ role: "user", content: user }],
      temperature: models.anthropic.temperature,
      output_config: { format: { type: "json_schema", schema } },
    },
  }),
  google: (customId, user) => ({
    key: customId,
    request: {
      systemInstruction: { parts: [{ text: system }] },
      contents: [{ role: "user", parts: [{ text: user }] }],
      generationConfig: {
        maxOutputTokens: models.google.maxTokens,
        temperature: models.google.temperature,
        responseMimeType: "application/json",
        responseJsonSchema: schema,
      },
    },
  }),
  groq: (customId, user) => ({
    custom_id: customId,
    method: "POST",
    url: "/v1/chat/completions",
    body: openaiBody(models.groq, user, { type: "json_object" }),
  }),
};

/** Prepare all palettes, a batch at a time; returns how many bytes are ready for the providers. */
function prepare(seeds) {
  let bytes = 0;
  for (let start = 0; start < seeds.length; start += job.batch) {
    const messages = seeds.slice(start, start + job.batch).map(userMessage);
    for (const request of Object.values(REQUEST)) {
      const lines = messages.map((message, i) =>
        JSON.stringify(request(`abcdefghijkl-${start + i}`, message)),
      );
      bytes += Buffer.from(lines.join("\n") + "\n").length;
    }
  }
  return bytes;
}

const started = performance.now();
const before = process.cpuUsage();
const bytes = prepare(job.seeds);
const { user, system: kernel } = process.cpuUsage(before);
console.log(
  JSON.stringify({
    wall_s: (performance.now() - started) / 1e3,
    cpu_s: (user + kernel) / 1e6,
    peak_mb: process.resourceUsage().maxRSS / 1024,
    bytes,
    messages: job.seeds.slice(0, job.sample).map(userMessage),
  }),
);
