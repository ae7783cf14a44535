// Bytes, windows and connections over time.

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
