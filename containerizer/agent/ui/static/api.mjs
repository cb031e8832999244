// The agent's API, as the page uses it. Who asks is the browser's business: it sends the credentials along.

// Of the origin, not the address: that may have a password in it, which fetch refuses.
const HERE = `${location.origin}/`;

export class Refused extends Error {}

async function checked(response) {
  if (response.ok) return response;
  throw new Refused((await response.text()) || `${response.status} ${response.statusText}`);
}

export async function getJson(path) {
  return (await checked(await fetch(new URL(path, HERE)))).json();
}

function post(message, accept, signal) {
  return fetch(new URL("api/v1", HERE), {
    method: "POST",
    headers: { "Content-Type": "application/json", ...accept },
    body: JSON.stringify(message),
    signal,
  });
}

export async function call(message) {
  await checked(await post(message, { Accept: "application/json" }));
}

// The records of a stream, as they come: each is its length in decimal, a newline, and that many bytes.
export async function* records(message, signal) {
  const accept = { Accept: "application/recordio", "Message-Accept": "application/json" };
  const response = await checked(await post(message, accept, signal));
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let rest = new Uint8Array();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest = joined(rest, value);
    for (;;) {
      const newline = rest.indexOf(10);
      if (newline < 0) break;
      const end = newline + 1 + Number(decoder.decode(rest.subarray(0, newline)));
      if (rest.length < end) break;
      yield JSON.parse(decoder.decode(rest.subarray(newline + 1, end)));
      rest = rest.subarray(end);
    }
  }
}

function joined(first, second) {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

// "web.db" as the API writes it.
export function idMessage(id) {
  return id.split(".").reduce((parent, value) => (parent ? { value, parent } : { value }), null);
}

export function socketTo(path) {
  const url = new URL(`ui/${path}`, HERE);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  return socket;
}

export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
