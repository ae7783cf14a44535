// What there is in all.

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
