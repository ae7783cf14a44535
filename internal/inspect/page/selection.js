// Which connections are shown, and in which order.

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
