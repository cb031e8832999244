// The page: it looks every two seconds, and shows the containers and the one that is chosen.

import { call, getJson, idMessage } from "./api.mjs";
import { age, element, moment, size } from "./format.mjs";
import * as logs from "./logs.mjs";
import * as terminal from "./terminal.mjs";
import * as usage from "./usage.mjs";

const EVERY = 2000; // milliseconds
const TABS = { usage: "Usage", logs: "Logs", limits: "Limits", terminal: "Terminal" };
const at = (id) => document.getElementById(id);

let containers = new Map(); // by id, parents first
let chosen = decodeURIComponent(location.hash.slice(1)) || null;
let tab = "usage";
let shownFor = null; // the container and tab that the panels are of

async function look() {
  try {
    const [state, running] = await Promise.all([getJson("/state"), getJson("/containers")]);
    at("host").textContent = `${state.hostname} · ${state.version}`;
    const details = new Map(running.map((each) => [each.container_id, each]));
    containers = new Map(state.containers.map((each) => [each.id, { ...each, now: details.get(each.id) }]));
    usage.forget(containers);
    for (const [id, each] of containers) {
      if (each.now?.statistics.processes !== undefined) usage.remember(id, each.now.statistics);
    }
    trouble(null);
  } catch (error) {
    trouble(error);
  }
  draw();
}

function trouble(error) {
  at("trouble").hidden = !error;
  at("trouble").textContent = error ? error.message : "";
}

// The tree -----------------------------------------------------------------------------------------

function draw() {
  const wanted = at("filter").value.toLowerCase();
  const shown = [...containers.values()].filter(
    (each) =>
      (at("ended").checked || condition(each) !== "terminated" || each.id === chosen) &&
      `${each.id} ${each.image}`.toLowerCase().includes(wanted),
  );
  const rows = new Map([...at("tree").children].map((row) => [row.dataset.id, row]));
  at("tree").replaceChildren(...shown.map((each) => filled(rows.get(each.id) ?? row(each.id), each)));
  at("empty").hidden = shown.length > 0;
  drawDetail();
}

function row(id) {
  const parts = ["dot", "label", "cpu", "image"].map((name) => element("span", { className: name }));
  const button = element("button", { type: "button" }, ...parts);
  button.addEventListener("click", () => choose(id));
  const made = element("li", {}, button);
  made.dataset.id = id;
  return made;
}

function filled(made, container) {
  const [dot, label, cpu, image] = made.firstChild.children;
  const parent = container.id.split(".").slice(0, -1).join(".");
  const depth = containers.has(parent) ? container.id.split(".").length - 1 : 0;
  made.firstChild.style.setProperty("--depth", depth);
  made.firstChild.setAttribute("aria-current", container.id === chosen);
  dot.className = `dot ${color(container)}`;
  dot.title = condition(container);
  label.textContent = depth ? container.id.slice(parent.length + 1) : container.id;
  const used = container.now ? usage.latest(container.id) : undefined;
  cpu.textContent = used?.cpu === undefined ? "" : `${used.cpu.toFixed(0)} %`;
  image.textContent = container.message ?? container.image;
  return made;
}

function condition(container) {
  return container.now?.status.paused ? "paused" : container.now?.status.state ?? container.state;
}

function color(container) {
  const now = condition(container);
  if (now === "running" || now === "paused") return now;
  if (now !== "terminated") return "busy";
  return container.exit_code ? "failed" : "ended";
}

function choose(id) {
  chosen = id;
  location.hash = id ? encodeURIComponent(id) : "";
  document.body.classList.toggle("chosen", Boolean(id));
  draw();
}

// The one that is chosen ---------------------------------------------------------------------------

function drawDetail() {
  const container = containers.get(chosen);
  at("detail").hidden = !container;
  if (!container) {
    logs.stop();
    terminal.close();
    shownFor = null;
    return;
  }
  at("name").textContent = container.id;
  at("state").textContent = container.message ?? condition(container);
  drawFacts(container);
  drawActions(container);
  drawPanel(container);
}

function drawFacts(container) {
  const now = Date.now() / 1000;
  const addresses = Object.values(container.now?.status["network/cni"]?.interfaces ?? {}).flatMap((each) => each.addresses);
  const facts = [
    ["image", container.image, "code"],
    ["command", container.command.join(" "), "code"],
    ["started", container.started_at ? `${moment(container.started_at)} (${age(now - container.started_at)} ago)` : ""],
    ["finished", moment(container.finished_at)],
    ["addresses", addresses.join(", "), "code"],
    ["pid", container.now?.status.executor_pid ?? ""],
  ];
  at("facts").replaceChildren(
    ...facts.filter(([, value]) => value !== "").flatMap(([name, value, kind]) => [
      element("dt", { textContent: name }),
      element("dd", { textContent: value, className: kind ?? "" }),
    ]),
  );
}

const ACTIONS = [
  { name: "Pause", type: "PAUSE_CONTAINER", when: (now) => now === "running" },
  { name: "Unpause", type: "UNPAUSE_CONTAINER", when: (now) => now === "paused" },
  { name: "Stop", type: "STOP_CONTAINER", when: (now) => now === "running", danger: true },
  { name: "Kill", type: "KILL_CONTAINER", when: (now) => now === "running" || now === "paused", danger: true },
  { name: "Remove", type: "REMOVE_CONTAINER", when: (now) => now === "terminated", danger: true },
];

function drawActions(container) {
  const now = condition(container);
  const names = ACTIONS.filter((action) => action.when(now)).map((action) => action.name).join();
  const panel = at("actions");
  if (panel.dataset.of === `${container.id} ${names}`) return; // a button stays while it is aimed at
  panel.dataset.of = `${container.id} ${names}`;
  panel.replaceChildren(...ACTIONS.filter((action) => action.when(now)).map((action) => button(action, container.id)));
}

function button(action, id) {
  const made = element("button", { type: "button", textContent: action.name, className: action.danger ? "danger" : "" });
  made.addEventListener("click", async () => {
    if (action.danger && !confirm(`${action.name} ${id}?`)) return;
    made.disabled = true;
    try {
      await call({ type: action.type, [action.type.toLowerCase()]: { container_id: idMessage(id) } });
    } catch (error) {
      alert(error.message);
    }
    made.disabled = false;
    look();
  });
  return made;
}

function drawPanel(container) {
  for (const name of Object.keys(TABS)) {
    at(name).hidden = name !== tab;
    at("tabs").querySelector(`[data-tab="${name}"]`).setAttribute("aria-selected", name === tab);
  }
  const now = `${container.id} ${tab}`;
  if (now !== shownFor) {
    shownFor = now;
    if (tab === "logs") logs.show(at("logs"), container.id);
    else logs.stop();
    if (tab === "terminal") terminal.show(at("terminal"), container);
    else terminal.close();
  }
  if (tab === "usage") usage.draw(at("usage"), container.id);
  if (tab === "limits") drawLimits(container);
}

function drawLimits(container) {
  const statistics = container.now?.statistics ?? {};
  const limits = [
    ["CPUs", statistics.cpus_limit],
    ["memory", statistics.mem_limit_bytes && size(Number(statistics.mem_limit_bytes))],
    ["memory, requested", statistics.mem_soft_limit_bytes && size(Number(statistics.mem_soft_limit_bytes))],
    ["disk", statistics.disk_limit_bytes && size(Number(statistics.disk_limit_bytes))],
    ["waited for CPUs", statistics.cpus_throttled_time_secs && `${statistics.cpus_throttled_time_secs} s`],
    ...(container.now?.status.limits_reached ?? []).map(({ limitation }) => [
      `reached: ${limitation.resource}`,
      limitation.message,
    ]),
  ].filter(([, value]) => value);
  const rows = limits.map(([name, value]) =>
    element("tr", {}, element("th", { textContent: name }), element("td", { textContent: value })),
  );
  at("limits").replaceChildren(
    rows.length ? element("table", {}, ...rows) : element("p", { textContent: "No limits." }),
  );
}

// The beginning ------------------------------------------------------------------------------------

for (const [name, title] of Object.entries(TABS)) {
  const made = element("button", { type: "button", role: "tab", textContent: title });
  made.dataset.tab = name;
  made.addEventListener("click", () => {
    tab = name;
    draw();
  });
  at("tabs").append(made);
}
at("filter").addEventListener("input", draw);
at("ended").addEventListener("change", draw);
at("back").addEventListener("click", () => choose(null));
addEventListener("hashchange", () => {
  const id = decodeURIComponent(location.hash.slice(1)) || null;
  if (id !== chosen) choose(id);
});
at("theme").addEventListener("click", () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  setTheme(now === "dark" ? "light" : "dark");
  draw();
});
document.body.classList.toggle("chosen", Boolean(chosen));
setTheme(localStorage.getItem("theme"));

function setTheme(name) {
  if (!name) return;
  document.documentElement.dataset.theme = name;
  localStorage.setItem("theme", name);
}

async function forever() {
  if (!document.hidden) await look();
  setTimeout(forever, EVERY);
}
addEventListener("visibilitychange", () => document.hidden || look());
forever();
