// The list, of which only the rows exist that are in view, and its filters.

const rowHeight = 26;
const body = $("body");
const list = () => {
  const first = Math.max(0, Math.floor(body.scrollTop / rowHeight) - 8);
  const last = Math.min(shown.length, Math.ceil((body.scrollTop + body.clientHeight) / rowHeight) + 8);
  const rows = [];
  for (let n = first; n < last; n++) rows.push(row(n));
  $("space").replaceChildren(...rows);
  const at = shown.indexOf(current);
  if (at >= first && at < last) body.setAttribute("aria-activedescendant", "row" + current);
  else body.removeAttribute("aria-activedescendant");
};
// clientCell keeps the port of an address whole, whatever the column cuts.
const clientCell = (name) => {
  const [, host, port] = brief(name).match(/^(.*?)(:\d+)?$/s);
  return el("span", { class: "client", title: name }, el("span", null, host), el("span", null, port || ""));
};
const row = (n) => {
  const i = shown[n];
  const dot = el("i", { title: data.texts.states[C.state[i]] });
  dot.style.background = stateColor(C.state[i]);
  const protocol = el("span", { title: C.protocol[i] + " " + C.name[i] }, C.protocol[i]);
  if (C.name[i]) protocol.append(" ", el("small", null, C.name[i]));
  const r = el("div", {
    class: "row", role: "option", id: "row" + i, "aria-selected": i === current, "aria-setsize": shown.length, "aria-posinset": n + 1,
    "aria-label": [client(i), "port " + C.port[i], C.protocol[i], data.texts.states[C.state[i]]].join(", "),
    onclick: () => { current = i; open(i); },
  }, dot, el("span", { class: "faint", title: day(C.first[i]) }, clock(C.first[i])), clientCell(client(i)),
  el("span", { class: "num" }, String(C.port[i])), protocol, el("span", { class: "num" }, size(C.downstream[i])),
  el("span", { class: "num" }, size(C.upstream[i])), el("span", { class: "num faint" }, duration(C.lasted[i])));
  r.style.top = n * rowHeight + "px";
  return r;
};
const heads = () => $("head").replaceChildren(...columns.map((c) => el("button", {
  class: c.num ? "num" : "", "aria-label": "Sort by " + (c.label || c.title), title: "Sort by " + (c.label || c.title).toLowerCase(),
  "aria-sort": sort.key !== c.key ? "none" : sort.down ? "descending" : "ascending",
  onclick: () => {
    sort = { key: c.key, down: sort.key === c.key ? !sort.down : Boolean(c.num) && c.key !== "port" };
    body.scrollTop = 0;
    heads();
    update();
  },
}, (c.title || "●") + (sort.key === c.key && c.title ? (sort.down ? " ↓" : " ↑") : ""))));
const go = (by) => {
  if (!shown.length) return;
  const at = shown.indexOf(current);
  const to = Math.min(shown.length - 1, Math.max(0, (at < 0 && by > 0 ? -1 : at) + by));
  current = shown[to];
  const top = to * rowHeight;
  if (top < body.scrollTop) body.scrollTop = top;
  if (top + rowHeight > body.scrollTop + body.clientHeight) body.scrollTop = top + rowHeight - body.clientHeight;
  list();
  if (opened >= 0) open(current);
};

const chips = () => {
  const all = [];
  if (filters.exact) all.push([filters.exact.name, () => { filters.exact = null; }]);
  if (filters.range) all.push([clock(filters.range[0]) + " to " + clock(filters.range[1]), () => { filters.range = null; }]);
  $("chips").replaceChildren(...all.map(([text, off]) => el("button", { class: "pill", "aria-pressed": "true", "aria-label": "Remove filter " + text, onclick: () => { off(); update(); } }, text + "  ✕")));
  for (const b of $("states").children) b.setAttribute("aria-pressed", filters.states.has(b.dataset.state));
};
const statePills = () => {
  for (const s of report.completeness) {
    if (!s.connections) continue;
    const dot = el("i");
    dot.style.background = stateColor(s.state);
    $("states").append(el("button", {
      class: "pill", "data-state": s.state, "aria-pressed": "false",
      onclick: () => { if (!filters.states.delete(s.state)) filters.states.add(s.state); update(); },
    }, dot, data.texts.states[s.state] + " " + s.connections.toLocaleString("en")));
  }
};
let waiting;
const search = () => {
  const text = $("search").value.trim();
  $("search").classList.remove("bad");
  try {
    query = text ? parse(text) : null;
  } catch {
    $("search").classList.add("bad");
    return;
  }
  body.scrollTop = 0;
  update();
  if (opened >= 0) open(opened);
};
$("search").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(search, 120); });
