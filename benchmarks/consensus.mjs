// The first system's consensus, in plain JavaScript for node: a document per (seed, prompt version)
// with an array of {key, value} per category, into which answers are merged one by one; then the
// documents of a seed are merged. Written from its description. Reads answers, one JSON document a
// line, writes the consensus likewise, one tag a line, and says on stdout what it cost.
// Only the merging is counted: the first system got its documents parsed.
import { closeSync, createReadStream, openSync, readFileSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";

const [source, target] = process.argv.slice(2);
const PAGE = 10_000;
const LONGEST = 100;
const cost = { wall_s: 0, cpu_s: 0 };

function measured(work) {
  const cpu = process.cpuUsage();
  const wall = performance.now();
  const result = work();
  const used = process.cpuUsage(cpu);
  cost.wall_s += (performance.now() - wall) / 1e3;
  cost.cpu_s += (used.user + used.system) / 1e6;
  return result;
}

const add = (counts, key, value) => {
  const found = counts.find((entry) => entry.key === key);
  if (found) found.value += value;
  else counts.push({ key, value });
};

function mergeAnswer(documents, { seed, version, tags }) {
  const id = `${seed}|${version}`;
  let document = documents.get(id);
  if (!document) documents.set(id, (document = { seed, total: 0, categories: {} }));
  document.total += 1;
  for (const [category, given] of Object.entries(tags)) {
    const counts = (document.categories[category] ??= []);
    for (const tag of Array.isArray(given) ? given : [given]) {
      const key = tag.trim().toLowerCase().slice(0, LONGEST);
      if (key) add(counts, key, 1);
    }
  }
}

function mergeVersions(documents) {
  const merged = new Map();
  for (const { seed, total, categories } of documents.values()) {
    let whole = merged.get(seed);
    if (!whole) merged.set(seed, (whole = { total: 0, categories: {} }));
    whole.total += total;
    for (const [category, counts] of Object.entries(categories)) {
      const sum = (whole.categories[category] ??= []);
      for (const { key, value } of counts) add(sum, key, value);
    }
  }
  for (const { categories } of merged.values())
    for (const counts of Object.values(categories)) counts.sort((a, b) => b.value - a.value);
  return merged;
}

const documents = new Map();
let page = [];
const mergePage = () => {
  const answers = page.map((line) => JSON.parse(line));
  measured(() => answers.forEach((answer) => mergeAnswer(documents, answer)));
  page = [];
};
for await (const line of createInterface({ input: createReadStream(source) })) {
  if (page.push(line) === PAGE) mergePage();
}
mergePage();
const merged = measured(() => mergeVersions(documents));

const file = openSync(target, "w");
for (const [seed, { total, categories }] of merged) {
  const lines = Object.entries(categories).flatMap(([category, counts]) =>
    counts.map(({ key, value }) => `${JSON.stringify({ seed, category, tag: key, votes: value, responses: total })}\n`),
  );
  writeSync(file, lines.join(""));
}
closeSync(file);
const peak = /VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"));
console.log(JSON.stringify({ ...cost, peak_mb: Number(peak[1]) / 1024 }));
