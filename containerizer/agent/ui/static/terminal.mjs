// A terminal: a further command in a container, or its own task's.

import { socketTo } from "./api.mjs";
import { element } from "./format.mjs";
import { FitAddon } from "./vendor/addon-fit.mjs";
import { Terminal } from "./vendor/xterm.mjs";

let open = null; // {terminal, socket, observer}

export function close() {
  open?.observer.disconnect();
  open?.socket.close();
  open?.terminal.dispose();
  open = null;
}

export function show(panel, container) {
  close();
  const command = element("input", { type: "text", value: "sh", name: "command", ariaLabel: "command" });
  const run = element("button", { type: "submit", textContent: "Run in it" });
  const attach = element("button", { type: "button", textContent: "Attach to its task" });
  const form = element("form", {}, command, run, attach);
  const screen = element("div", { id: "screen" });
  const id = encodeURIComponent(container.id);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    connect(screen, `exec?container=${id}&command=${encodeURIComponent(command.value)}`);
  });
  attach.addEventListener("click", () => connect(screen, `attach?container=${id}`));
  panel.replaceChildren(form, screen);
}

function connect(screen, path) {
  close();
  screen.replaceChildren();
  const terminal = new Terminal({ cursorBlink: true, fontSize: 13, theme: { background: "#12151b" } });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(screen);
  const socket = socketTo(path);
  const typed = new TextEncoder();
  const send = (data) => socket.readyState === WebSocket.OPEN && socket.send(data);
  terminal.onData((text) => send(typed.encode(text)));
  terminal.onBinary((text) => send(Uint8Array.from(text, (character) => character.charCodeAt(0))));
  terminal.onResize(({ rows, cols }) => send(JSON.stringify({ resize: [rows, cols] })));
  socket.onopen = () => {
    fit.fit();
    send(JSON.stringify({ resize: [terminal.rows, terminal.cols] }));
    terminal.focus();
  };
  socket.onmessage = ({ data }) => {
    if (typeof data !== "string") terminal.write(new Uint8Array(data));
    else terminal.write(`\r\n\x1b[2m${said(JSON.parse(data))}\x1b[0m\r\n`);
  };
  socket.onclose = () => {
    if (open?.socket !== socket) return; // another has taken its place
    screen.dataset.connected = "false";
    terminal.options.cursorBlink = false;
  };
  const observer = new ResizeObserver(() => fit.fit());
  observer.observe(screen);
  screen.dataset.connected = "true";
  open = { terminal, socket, observer };
}

function said(message) {
  // Text that a container has chosen may have escape sequences in it.
  const text = message.error === undefined ? `ended with ${message.exit}` : message.error;
  return text.replace(/[^\x20-\x7e\u00a0-\uffff]/g, "·");
}
