// One connection, in turns.

const hexOf = (b) => b.charCodeAt(0).toString(16).padStart(2, "0");
const printable = (c) => (c >= " " && c < "\x7f" ? c : "·");
// rangesOf returns the places in bytes that the query looks for, at most so many that a page stays fast.
const rangesOf = (bytes) => {
  const ranges = [];
  if (!query) return ranges;
  query.bytes.lastIndex = 0;
  for (let m; ranges.length < 500 && (m = query.bytes.exec(bytes));) {
    if (!m[0]) query.bytes.lastIndex++;
    else ranges.push([m.index, m.index + m[0].length]);
  }
  return ranges;
};
// marked returns text, made of bytes from a to b by piece, with what is looked for marked.
const marked = (pre, bytes, ranges, piece, between) => {
  let at = 0;
  for (const [a, b] of ranges) {
    pre.append(piece(bytes, at, a));
    pre.append(el("mark", null, piece(bytes, a, b).replace(between, "")), between.test(piece(bytes, a, b)) ? piece(bytes, a, b).match(between)[0] : "");
    at = b;
  }
  pre.append(piece(bytes, at, bytes.length));
  return pre;
};
const hexPiece = (bytes, a, b) => {
  let text = "";
  for (let i = a; i < b; i++) text += hexOf(bytes[i]) + (i % 16 === 15 ? "\n" : i % 8 === 7 ? "  " : " ");
  return text;
};
const textPiece = (bytes, a, b) => {
  let text = "";
  for (let i = a; i < b; i++) text += printable(bytes[i]) + (i % 16 === 15 ? "\n" : "");
  return text;
};
const offsets = (offset, n) => {
  let text = "";
  for (let i = 0; i < n; i += 16) text += (offset + i).toString(16).padStart(8, "0") + "\n";
  return text;
};
const strict = new TextDecoder("utf-8", { fatal: true });
// plainPiece returns bytes as UTF-8, if they are, with controls made visible.
const plainPiece = (bytes, a, b) => {
  const part = bytes.slice(a, b);
  let text = part;
  try {
    text = strict.decode(Uint8Array.from(part, (c) => c.charCodeAt(0)));
  } catch {
    text = part.replace(/[^\n\r\t -~]/g, "·");
  }
  return text.replace(/\r\n/g, "\n").replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "·");
};
const turn = (t) => {
  const up = t.d === 1, ranges = rangesOf(t.b);
  const box = el("article", { class: up ? "turn up" : "turn" }, el("h3", null, el("b", null, up ? "◀ service" : "▶ client"),
    el("span", null, plural(t.b.length, "byte") + " at " + t.o), el("span", null, "+" + duration(t.t - C.first[opened]))));
  const none = /$^/;
  if (textual) {
    box.append(el("div", { class: "textual" }, marked(el("pre"), t.b, ranges, plainPiece, none)));
    return box;
  }
  box.append(el("div", { class: "bytes" }, el("pre", { "aria-hidden": "true" }, offsets(t.o, t.b.length)),
    marked(el("pre", { class: "hex" }), t.b, ranges, hexPiece, /\s+$/), marked(el("pre", { class: "text" }), t.b, ranges, textPiece, /\n$/)));
  return box;
};
const open = (i) => {
  const same = opened === i;
  opened = i;
  const top = $("detail").scrollTop;
  const facts = el("dl");
  const fact = (name, ...value) => facts.append(el("dt", null, name), el("dd", null, ...value));
  fact("client", (C.peer[i] ? C.peer[i] + " " : "") + (C.source[i] || (C.peer[i] ? "" : "unknown")));
  fact("service", (C.destination[i] || "unknown") + (C.destination[i].endsWith(":" + C.port[i]) ? "" : ", port " + C.port[i]));
  fact("protocol", C.protocol[i] + (C.name[i] ? " " + C.name[i] : ""));
  fact("time", day(C.first[i]) + " " + clock(C.first[i]) + " UTC, " + duration(C.lasted[i]));
  fact("bytes", size(C.downstream[i]) + " by the client, " + size(C.upstream[i]) + " by the service");
  const state = el("span", null, C.state[i] === "whole" ? "whole" : C.why[i] || data.texts.states[C.state[i]]);
  state.style.color = stateColor(C.state[i]);
  fact("completeness", state);
  if (C.window[i]) fact("window", C.window[i]);
  const mode = el("button", { id: "mode", onclick: flip }, textual ? "hex" : "text");
  const head = el("div", { class: "facts" }, el("h2", null, C.id[i],
    el("span", null, mode, el("button", { onclick: close, "aria-label": "Close" }, "✕"))), facts);
  const parts = [head];
  const next = [0, 0];
  for (const t of turnsOf(i)) {
    if (t.o > next[t.d]) parts.push(el("p", { class: "note bad" }, plural(t.o - next[t.d], "byte") + " of the " + ["client", "service"][t.d] + " missing"));
    next[t.d] = t.o + t.b.length;
    parts.push(turn(t));
  }
  if (!C.turns[i].length && !C.truncated[i]) parts.push(el("p", { class: "note" }, "No bytes were recorded."));
  if (C.truncated[i]) {
    const kept = turnsOf(i).reduce((n, t) => n + t.b.length, 0);
    parts.push(el("p", { class: "note bad" }, "The first " + plural(kept, "byte") + " of " + (C.downstream[i] + C.upstream[i]).toLocaleString("en") +
      " are in this page. All of them: ", el("code", null, "l4dump decode --conn " + C.id[i])));
  }
  const ended = [C.ends[i][0] ? "The client ended its direction." : "", C.ends[i][1] ? "The service ended its direction." : "",
    C.by[i] ? "Closed by " + ({ downstream: "the client", upstream: "the service", proxy: "the proxy" }[C.by[i]] || C.by[i]) + "." : ""].filter(Boolean);
  if (ended.length) parts.push(el("p", { class: "note" }, ended.join(" ")));
  for (const f of C.faults[i]) parts.push(el("p", { class: "note bad" }, f));
  if (C.more_faults[i]) parts.push(el("p", { class: "note bad" }, "and " + plural(C.more_faults[i], "more fault")));
  $("detail").replaceChildren(...parts);
  $("detail").scrollTop = same ? top : 0;
  found = -1;
  if (query && !same) jump(1);
  list();
  draw();
};
let found = -1;
const jump = (by) => {
  const marks = $("detail").querySelectorAll(textual ? "mark" : ".text mark");
  if (!marks.length) return;
  marks[found]?.classList.remove("now");
  found = (found + by + marks.length) % marks.length;
  marks[found].classList.add("now");
  marks[found].scrollIntoView({ block: "center" });
};
const flip = () => { textual = !textual; if (opened >= 0) open(opened); };
const close = () => { opened = -1; overview(); draw(); };
