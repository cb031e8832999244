// What a container's task has written, and goes on to write.

import { bytesOf, idMessage, records } from "./api.mjs";
import { element } from "./format.mjs";

const TAIL = 500; // lines of before
const MOST = 5000; // pieces that the page keeps

let following = null; // an AbortController

export function stop() {
  following?.abort();
  following = null;
}

export async function show(panel, id) {
  stop();
  const controller = (following = new AbortController());
  const written = element("pre", { tabIndex: 0 });
  panel.replaceChildren(written);
  const decoders = { STDOUT: new TextDecoder(), STDERR: new TextDecoder() };
  try {
    const asked = { type: "FOLLOW_LOGS", follow_logs: { container_id: idMessage(id), follow: true, tail: TAIL } };
    for await (const entry of records(asked, controller.signal)) {
      if (!entry.data) continue; // a sign of life
      const stream = entry.stream === "STDERR" ? "STDERR" : "STDOUT";
      append(written, decoders[stream].decode(bytesOf(entry.data), { stream: true }), stream.toLowerCase());
    }
    append(written, "— the task has ended —\n", "note");
  } catch (error) {
    if (!controller.signal.aborted) append(written, `${error.message}\n`, "note");
  }
}

function append(written, text, kind) {
  const atEnd = written.scrollHeight - written.scrollTop - written.clientHeight < 40;
  written.append(element("span", { className: kind, textContent: text }));
  while (written.childElementCount > MOST) written.firstElementChild.remove();
  if (atEnd) written.scrollTop = written.scrollHeight;
}
