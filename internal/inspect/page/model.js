// The recording, and how the page writes it.

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const report = data.report;
const C = data.connections;
const N = C.id.length;
const start = Date.parse(data.start || 0);

// el makes an element; text from the recording only ever becomes text.
const el = (tag, attributes, ...children) => {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else if (name === "class") e.className = value;
    else e.setAttribute(name, value);
  }
  e.append(...children);
  return e;
};
const size = (n) => {
  if (n < 1024) return n + " B";
  let unit = -1;
  do { n /= 1024; unit++; } while (n >= 1023.95 && unit < 5);
  return n.toFixed(1) + " " + "KMGTPE"[unit] + "iB";
};
const duration = (ms) => {
  if (ms < 1) return Math.round(ms * 1000) + " µs";
  if (ms < 1000) return +ms.toFixed(1) + " ms";
  if (ms < 60e3) return +(ms / 1000).toFixed(2) + " s";
  if (ms < 3600e3) return Math.floor(ms / 60e3) + " min " + Math.round(ms % 60e3 / 1000) + " s";
  if (ms < 86400e3) return Math.floor(ms / 3600e3) + " h " + Math.round(ms % 3600e3 / 60e3) + " min";
  return Math.floor(ms / 86400e3) + " d " + Math.round(ms % 86400e3 / 3600e3) + " h";
};
const clock = (ms, digits = 3) => {
  const date = new Date(start + ms);
  return isNaN(date) ? "?" : date.toISOString().slice(11, digits ? 20 + digits : 19);
};
const day = (ms) => { const date = new Date(start + ms); return isNaN(date) ? "?" : date.toISOString().slice(0, 10); };
const plural = (n, what) => n.toLocaleString("en") + " " + what + (n === 1 ? "" : "s");
const client = (i) => C.peer[i] || C.source[i] || "unknown";
const host = (i) => C.peer[i] || C.source[i].replace(/^\[(.*)\]:\d+$|:\d+$/, "$1") || "unknown";
// brief is an identity of a mesh as namespace and account, which is where identities differ.
const brief = (name) => name.replace(/^spiffe:\/\/[^/]+\/ns\/([^/]+)\/sa\/([^/]+)$/, "$1/$2");
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const stateColor = (state) => "var(--" + state + ")";

// Payload is kept as strings of one character for each byte, decoded when it is first wanted.
const decoded = new Array(N);
const turnsOf = (i) => decoded[i] ||= C.turns[i].map((t) => ({ ...t, b: atob(t.b) }));
