"use strict";
(() => {
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

  // ---- what is selected

  const filters = { states: new Set(), range: null, exact: null };
  let query = null; // {bytes: RegExp or null, fields: function}
  let shown = [];
  let sort = { key: "first", down: false };
  let current = -1; // a connection's index
  let opened = -1;
  let textual = false;

  const escapeRegExp = (s) => s.replace(/[.*+?^${}()|[\]\\\/-]/g, "\\$&");
  const utf8 = (s) => String.fromCharCode(...new TextEncoder().encode(s));

  // parse returns what a query looks for: in payload, as a regular expression over bytes; in fields, one over text.
  const parse = (text) => {
    const hex = /^0x((?:\s*[0-9a-f]{2})+)\s*$/i.exec(text);
    if (hex) {
      const bytes = hex[1].replace(/\s/g, "").replace(/../g, (h) => "\\x" + h);
      return { bytes: new RegExp(bytes, "g"), fields: null };
    }
    const regexp = /^\/(.+)\/$/.exec(text);
    if (regexp) return { bytes: new RegExp(regexp[1], "gs"), fields: new RegExp(regexp[1], "i") };
    return { bytes: new RegExp(escapeRegExp(utf8(text)), "gi"), fields: new RegExp(escapeRegExp(text), "i") };
  };
  const fieldsOf = (i) => [C.id[i], C.source[i], C.destination[i], C.peer[i], C.protocol[i], C.name[i], C.port[i], C.window[i], C.why[i]].join("\n");
  const has = (re, s) => { re.lastIndex = 0; return re.test(s); };
  const matches = (i) => {
    if (filters.states.size && !filters.states.has(C.state[i])) return false;
    if (filters.exact && filters.exact.of(i) !== filters.exact.value) return false;
    if (filters.range && (C.first[i] > filters.range[1] || C.first[i] + C.lasted[i] < filters.range[0])) return false;
    if (!query) return true;
    return query.fields && query.fields.test(fieldsOf(i)) || turnsOf(i).some((t) => has(query.bytes, t.b));
  };
  const columns = [
    { title: "", key: "state", of: (i) => ["broken", "prefix", "open", "whole"].indexOf(C.state[i]), label: "Completeness" },
    { title: "Start", key: "first", of: (i) => C.first[i] },
    { title: "Client", key: "client", of: client },
    { title: "Port", key: "port", of: (i) => C.port[i], num: true },
    { title: "Protocol", key: "protocol", of: (i) => C.protocol[i] + " " + C.name[i] },
    { title: "Client sent", key: "downstream", of: (i) => C.downstream[i], num: true },
    { title: "Service sent", key: "upstream", of: (i) => C.upstream[i], num: true },
    { title: "Lasted", key: "lasted", of: (i) => C.lasted[i], num: true },
  ];
  const update = () => {
    shown = [];
    for (let i = 0; i < N; i++) if (matches(i)) shown.push(i);
    const of = columns.find((c) => c.key === sort.key).of;
    const keys = shown.map(of);
    const order = shown.map((_, n) => n).sort((a, b) => {
      const x = keys[a], y = keys[b];
      return (x < y ? -1 : x > y ? 1 : 0) * (sort.down ? -1 : 1) || shown[a] - shown[b];
    });
    shown = order.map((n) => shown[n]);
    $("count").textContent = shown.length === N ? plural(N, "connection") : shown.length.toLocaleString("en") + " of " + plural(N, "connection");
    chips();
    $("space").style.height = shown.length * rowHeight + "px";
    draw();
    list();
  };

  // ---- the list, of which only the rows exist that are in view

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
    }, dot, el("span", { class: "faint", title: day(C.first[i]) }, clock(C.first[i])), el("span", { title: client(i) }, brief(client(i))),
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

  // ---- filters

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

  // ---- the timeline

  const canvas = $("chart");
  const total = (() => {
    let most = 1;
    for (let i = 0; i < N; i++) most = Math.max(most, C.first[i] + C.lasted[i]);
    if (data.series) most = Math.max(most, data.series.start + data.series.width * report.series.steps.length);
    return most;
  })();
  const low = Math.min(0, data.series ? data.series.start : 0);
  const left = 12;
  const font = "11px system-ui, sans-serif";
  const rounds = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1800e3, 3600e3, 7200e3, 21600e3, 43200e3, 86400e3];
  let drag = null;
  const x = (ms) => left + (ms - low) / (total - low) * (canvas.clientWidth - 2 * left);
  const msAt = (px) => low + (px - left) / (canvas.clientWidth - 2 * left) * (total - low);
  const chartTop = 24, chartHeight = 68, bandTop = 96, laneTop = 108, laneBottom = 146;
  const draw = () => {
    const scale = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== width * scale) canvas.width = width * scale;
    if (canvas.height !== height * scale) canvas.height = height * scale;
    const g = canvas.getContext("2d");
    g.setTransform(scale, 0, 0, scale, 0, 0);
    g.clearRect(0, 0, width, height);
    const color = Object.fromEntries(["down", "up", "line", "faint", "text", "pick", "whole", "open", "prefix", "broken"].map((c) => [c, css(c)]));
    // sampling windows
    g.fillStyle = color.pick;
    for (const w of data.windows) g.fillRect(x(w.start), bandTop, Math.max(3, x(w.start + w.length) - x(w.start)), 7);
    // bytes: the clients' above the axis, the services' below, in one scale
    let axis = chartTop + chartHeight / 2;
    if (data.series) {
      const steps = report.series.steps;
      const above = Math.max(1, ...steps.map((s) => s.downstream)), below = Math.max(1, ...steps.map((s) => s.upstream));
      const part = Math.min(0.85, Math.max(0.15, above / (above + below)));
      axis = chartTop + chartHeight * part;
      const perByte = Math.min(chartHeight * part / above, chartHeight * (1 - part) / below);
      const step = (canvas.clientWidth - 2 * left) * data.series.width / (total - low);
      const bar = (n) => n && Math.max(1, n * perByte);
      steps.forEach((s, i) => {
        const at = x(data.series.start + i * data.series.width), w = Math.max(1.5, step - 0.5);
        g.fillStyle = color.down;
        g.fillRect(at, axis - bar(s.downstream), w, bar(s.downstream));
        g.fillStyle = color.up;
        g.fillRect(at, axis, w, bar(s.upstream));
      });
      g.fillStyle = color.faint;
      g.font = font;
      g.fillText("bytes, up to " + size(Math.max(above, below)) + " in " + duration(data.series.width), left, 16);
    }
    g.fillStyle = color.line;
    g.fillRect(left, axis - 0.5, width - 2 * left, 1);
    // connections, each in a lane
    const among = new Set(shown), all = shown.length === N;
    const lanes = Math.floor((laneBottom - laneTop) / 3);
    for (const pass of [false, true]) {
      for (let i = 0; i < N; i++) {
        if (all ? !pass : among.has(i) !== pass) continue;
        g.globalAlpha = all || pass ? 0.75 : 0.12;
        g.fillStyle = color[C.state[i]];
        g.fillRect(x(C.first[i]), laneTop + i % lanes * 3, Math.max(2, x(C.first[i] + C.lasted[i]) - x(C.first[i])), 2);
      }
    }
    g.globalAlpha = 1;
    if (current >= 0) {
      g.fillStyle = color.text;
      g.fillRect(x(C.first[current]) - 1, laneTop - 4, Math.max(2, x(C.first[current] + C.lasted[current]) - x(C.first[current])) + 2, 2);
      g.fillRect(x(C.first[current]) - 1, chartTop, 1, laneBottom - chartTop);
    }
    const range = drag || filters.range;
    if (range) {
      g.fillStyle = color.down;
      g.globalAlpha = 0.14;
      const [a, b] = [x(Math.min(...range)), x(Math.max(...range))];
      g.fillRect(a, 2, b - a, height - 4);
      g.globalAlpha = 1;
      g.fillRect(a, 2, 1, height - 4);
      g.fillRect(b, 2, 1, height - 4);
    }
    // the axis of time, with round times
    g.fillStyle = color.faint;
    g.font = font;
    g.textAlign = "center";
    const step = rounds.find((r) => r / (total - low) * width >= 90) || Math.ceil((total - low) / 8 / 86400e3) * 86400e3;
    for (let ms = Math.ceil((start + low) / step) * step - start; ms <= total; ms += step) {
      const at = x(ms), text = step >= 86400e3 ? day(ms) : clock(ms, step < 1000 ? 3 : 0);
      g.fillRect(at, height - 20, 1, 4);
      if (at > 40 && at < width - 40) g.fillText(text, at, height - 6);
    }
    g.textAlign = "left";
  };
  canvas.addEventListener("pointerdown", (e) => { canvas.setPointerCapture(e.pointerId); drag = [msAt(e.offsetX), msAt(e.offsetX)]; });
  canvas.addEventListener("pointermove", (e) => {
    if (drag) { drag[1] = msAt(e.offsetX); draw(); }
    const ms = msAt(e.offsetX), tip = $("tip");
    let text = day(ms) + " " + clock(ms);
    if (data.series) {
      const s = report.series.steps[Math.floor((ms - data.series.start) / data.series.width)];
      if (s) text += "\nclients " + size(s.downstream) + ", services " + size(s.upstream) + "\n" + plural(s.connections, "connection") + " began";
    }
    tip.textContent = text;
    tip.hidden = false;
    tip.style.top = "30px";
    tip.style.left = Math.min(e.offsetX + 14, canvas.clientWidth - tip.offsetWidth - 6) + "px";
  });
  canvas.addEventListener("pointerleave", () => { $("tip").hidden = true; });
  canvas.addEventListener("pointerup", (e) => {
    if (!drag) return;
    const range = [Math.min(...drag), Math.max(...drag)];
    drag = null;
    filters.range = x(range[1]) - x(range[0]) < 3 ? null : range;
    update();
  });

  // ---- a connection

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

  // ---- what there is in all

  const panel = (title, ...content) => el("section", { class: "panel" }, el("h2", null, title), ...content);
  const groups = (title, rows, of) => {
    const most = Math.max(1, ...rows.map((r) => r.bytes.downstream + r.bytes.upstream));
    const some = rows.slice(0, 8);
    const table = el("table", null, ...some.map((r) => {
      const bar = el("i");
      bar.style.width = (r.bytes.downstream + r.bytes.upstream) / most * 100 + "%";
      const name = r.others ? el("span", null, "others") : el("button", {
        title: r.name, onclick: () => { filters.exact = { name: brief(r.name), value: r.name, of }; update(); },
      }, brief(r.name));
      return el("tr", null, el("td", null, name, el("div", { class: "meter" }, bar)), el("td", { class: "num n" }, r.connections.toLocaleString("en")),
        el("td", { class: "num" }, size(r.bytes.downstream + r.bytes.upstream)));
    }));
    return panel(title, table, rows.length > some.length ? el("p", null, "and " + (rows.length - some.length).toLocaleString("en") + " more") : "");
  };
  const more = (text, span) => el("tr", { class: "more" }, el("td", { colspan: String(span) }, text));
  const overview = () => {
    const panels = [];
    panels.push(panel("Completeness", el("table", null, ...report.completeness.filter((s) => s.connections).flatMap((s) => [
      el("tr", null, el("td", null, data.texts.states[s.state]), el("td", { class: "num n" }, s.connections.toLocaleString("en")),
        el("td", { class: "num" }, size(s.bytes.downstream + s.bytes.upstream))),
      ...data.causes.filter((c) => c.state === s.state).map((c) => el("tr", null, el("td", { class: "cause" }, c.text),
        el("td", { class: "num n" }, c.connections.toLocaleString("en")), el("td"))),
    ])), ...[[report.without_ledger, "without a ledger: what was not recorded of them is not known"], [report.inexact.tls, "of TLS that was not decrypted"],
      [report.inexact.repeats, "before an HTTP connection manager: of pipelined requests, bytes stand more than once"],
      [report.inexact.masked, "with masked bytes"]].filter(([n]) => n).map(([n, text]) => el("p", null, plural(n, "connection") + " " + text))));
    if (data.sample.length) panels.push(panel("The sample covers", ...data.sample.map((s) => el("p", null, s))));
    if (report.drops.length) {
      panels.push(panel("Dropped by the recorder", el("table", null, ...report.drops.flatMap((d) => [
        el("tr", null, el("td", null, d.reason), el("td", { class: "num n" }, d.connections.toLocaleString("en")),
          el("td", { class: "num" }, size(d.bytes.downstream + d.bytes.upstream))), ...(d.key ? [more("limit: " + d.key, 3)] : [])]))));
    }
    panels.push(groups("Protocols", report.protocols, (i) => C.protocol[i]));
    panels.push(groups("Ports", report.ports, (i) => String(C.port[i])));
    panels.push(groups("Clients", report.peers, host));
    if (report.server_names.length) panels.push(groups("Server names", report.server_names, (i) => C.name[i]));
    if (report.faults.length) {
      panels.push(panel("Faults", el("table", null, ...report.faults.flatMap((f) => [
        el("tr", null, el("td", null, data.texts.faults[f.kind]), el("td", { class: "num" }, f.count.toLocaleString("en"))), more(f.first, 2)]))));
    }
    $("detail").replaceChildren(el("div", { class: "panels" }, ...panels));
    $("detail").scrollTop = 0;
  };
  const facts = () => {
    const fact = (value, text) => el("span", null, el("b", null, value), " " + text);
    const all = [];
    if (data.start) all.push(el("span", null, day(0) + " " + clock(0, 0) + " UTC, " + duration(Date.parse(report.last) - start)));
    all.push(fact(report.connections.toLocaleString("en"), report.connections === 1 ? "connection" : "connections"));
    all.push(fact(size(report.bytes.downstream), "by clients"), fact(size(report.bytes.upstream), "by services"));
    const whole = report.completeness[0].connections;
    if (report.connections) all.push(fact((whole / report.connections * 100).toFixed(whole === report.connections ? 0 : 1) + " %", "whole"));
    const faults = report.faults.reduce((n, f) => n + f.count, 0);
    all.push(fact(faults.toLocaleString("en"), faults === 1 ? "fault" : "faults"));
    if (report.layotto_lines) all.push(fact(report.layotto_lines.toLocaleString("en"), "lines in Layotto's format, which name no connection"));
    $("facts").replaceChildren(...all);
    const legend = (color, text) => { const i = el("i"); i.style.background = "var(--" + color + ")"; return el("span", null, i, text); };
    $("legend").replaceChildren(legend("down", "clients"), legend("up", "services"), legend("pick", "windows"));
    const out = [];
    if (data.left_out.connections) out.push(plural(data.left_out.connections, "more connection") + " counted above, but not in this page.");
    if (data.left_out.truncated) out.push("Of " + plural(data.left_out.truncated, "connection") + ", only the first bytes are in this page, and searched.");
    $("left").textContent = out.join(" ");
  };

  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const typing = e.target === $("search");
    const act = {
      Escape: () => {
        if (typing && $("search").value) { $("search").value = ""; search(); return; }
        if (typing) { body.focus(); return; }
        if (opened >= 0) { close(); body.focus(); return; }
        filters.states.clear(); filters.range = filters.exact = null; update();
      },
      ArrowDown: () => go(1), ArrowUp: () => go(-1),
      PageDown: typing ? null : () => go(20), PageUp: typing ? null : () => go(-20),
      Enter: e.target.tagName === "BUTTON" ? null : () => { if (typing) { clearTimeout(waiting); search(); } if (shown.indexOf(current) < 0) go(0); if (current >= 0 && shown.length) open(current); },
      ...(typing ? {} : {
        "/": () => { $("search").focus(); $("search").select(); }, j: () => go(1), k: () => go(-1), t: flip, n: () => jump(1), p: () => jump(-1),
        Home: () => go(-shown.length), End: () => go(shown.length),
      }),
    }[e.key];
    if (!act) return;
    if (e.target === $("detail") && /^(Page|Arrow|Home|End)/.test(e.key)) return; // which scroll it
    e.preventDefault();
    act();
  });
  body.addEventListener("scroll", list);
  new ResizeObserver(() => { draw(); list(); }).observe(document.body);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  facts();
  statePills();
  heads();
  overview();
  update();
  document.documentElement.dataset.ready = "true";
})();
