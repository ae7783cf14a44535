// The keys, and the begin.

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
