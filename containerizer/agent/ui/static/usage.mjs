// What a container uses, as plots of the last minutes. They begin when the page is opened.

import { element, size } from "./format.mjs";

const KEPT = 180; // seconds
const PLOTS = [
  { title: "CPU", of: "cpu", shown: (value) => `${value.toFixed(1)} %`, least: 10 },
  { title: "memory", of: "memory", limit: "memoryLimit", shown: size, least: 1 << 20 },
  { title: "disk I/O", of: "io", shown: (value) => `${size(value)}/s`, least: 1024 },
  { title: "network", of: "network", shown: (value) => `${size(value)}/s`, least: 1024 },
  { title: "processes", of: "processes", limit: "processesLimit", shown: (value) => value.toFixed(0), least: 4 },
];

const histories = new Map(); // container → samples, the oldest first

// Take what /containers says of one; counters become rates since the look before.
export function remember(id, statistics) {
  const samples = histories.get(id) ?? [];
  const before = samples.at(-1);
  const counters = {
    cpu: sum(statistics.cpus_user_time_secs, statistics.cpus_system_time_secs),
    io: ioBytes(statistics),
    network: sum(statistics.net_rx_bytes, statistics.net_tx_bytes),
  };
  const elapsed = before ? statistics.timestamp - before.time : 0;
  if (before && elapsed <= 0) return;
  const rate = (name, factor = 1) =>
    before && counters[name] !== undefined && before.counters[name] !== undefined
      ? Math.max(0, ((counters[name] - before.counters[name]) / elapsed) * factor)
      : undefined;
  samples.push({
    time: statistics.timestamp,
    counters,
    cpu: rate("cpu", 100),
    io: rate("io"),
    network: rate("network"),
    memory: statistics.mem_total_bytes,
    memoryLimit: statistics.mem_limit_bytes,
    processes: statistics.processes,
  });
  while (samples[0].time < statistics.timestamp - KEPT) samples.shift();
  histories.set(id, samples);
}

export function forget(known) {
  for (const id of histories.keys()) if (!known.has(id)) histories.delete(id);
}

export function latest(id) {
  return histories.get(id)?.at(-1);
}

export function draw(panel, id) {
  const samples = histories.get(id) ?? [];
  const plots = PLOTS.filter((plot) => samples.some((sample) => sample[plot.of] !== undefined));
  if (panel.dataset.plots !== plots.map((plot) => plot.of).join()) {
    panel.dataset.plots = plots.map((plot) => plot.of).join();
    panel.replaceChildren(...plots.map(figure));
    if (!plots.length) panel.append(element("p", { textContent: "Nothing is measured: it does not run." }));
  }
  for (const plot of plots) update(panel.querySelector(`[data-of="${plot.of}"]`), plot, samples);
}

function figure(plot) {
  const caption = element("figcaption", {}, element("b", { textContent: plot.title }), element("span"));
  const made = element("figure", {}, caption, element("canvas", { role: "img" }));
  made.dataset.of = plot.of;
  return made;
}

function update(made, plot, samples) {
  const points = samples.filter((sample) => sample[plot.of] !== undefined);
  const last = points.at(-1);
  const limit = last?.[plot.limit];
  const text = last ? plot.shown(last[plot.of]) + (limit ? ` of ${plot.shown(limit)}` : "") : "";
  made.querySelector("span").textContent = text;
  const canvas = made.querySelector("canvas");
  canvas.setAttribute("aria-label", `${plot.title}: ${text}`);
  canvas.dataset.points = points.length;
  line(canvas, plot, points, limit);
}

function line(canvas, plot, points, limit) {
  const ratio = devicePixelRatio || 1;
  const width = (canvas.width = Math.max(1, canvas.clientWidth * ratio));
  const height = (canvas.height = Math.max(1, canvas.clientHeight * ratio));
  const context = canvas.getContext("2d");
  const color = getComputedStyle(document.documentElement);
  const top = Math.max(plot.least, ...points.map((point) => point[plot.of])) * 1.15;
  const now = points.at(-1)?.time ?? 0;
  const x = (point) => width - ((now - point.time) / KEPT) * width;
  const y = (value) => height - (value / top) * (height - 2 * ratio) - ratio;
  context.lineWidth = ratio;
  context.strokeStyle = color.getPropertyValue("--line");
  for (const part of [0.25, 0.5, 0.75, 1]) stroke(context, [[0, height * part], [width, height * part]]);
  if (limit && limit <= top) {
    context.strokeStyle = color.getPropertyValue("--bad");
    stroke(context, [[0, y(limit)], [width, y(limit)]]);
  }
  context.lineWidth = 1.75 * ratio;
  context.strokeStyle = color.getPropertyValue("--accent");
  stroke(context, points.map((point) => [x(point), y(point[plot.of])]));
}

function stroke(context, points) {
  context.beginPath();
  points.forEach(([x, y], number) => (number ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
}

function sum(...values) {
  return values.some((value) => value !== undefined) ? values.reduce((all, value) => all + Number(value ?? 0), 0) : undefined;
}

function ioBytes(statistics) {
  const devices = statistics.blkio_statistics?.throttling ?? statistics.blkio_statistics?.cfq;
  const values = devices?.flatMap((device) => device.io_service_bytes ?? []) ?? [];
  const counted = values.filter((value) => ["READ", "WRITE"].includes(value.op));
  return counted.length ? sum(...counted.map((value) => value.value)) : undefined;
}
