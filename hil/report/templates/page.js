"use strict";
(() => {
  const all = (what, where = document) => Array.from(where.querySelectorAll(what));
  const one = (what) => document.querySelector(what);
  const root = document.documentElement;

  // Light or dark: the system's choice, or the reader's, remembered where the browser allows it.
  const theme = one("#theme");
  const dark = () => root.style.colorScheme ? root.style.colorScheme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const wear = (scheme) => {
    root.style.colorScheme = scheme;
    theme.textContent = dark() ? "Light" : "Dark";
    theme.setAttribute("aria-label", `Change to ${dark() ? "light" : "dark"} colours`);
  };
  try { wear(localStorage.getItem("hil-colours") || ""); } catch { wear(""); }
  theme.hidden = false;
  theme.onclick = () => {
    wear(dark() ? "light" : "dark");
    try { localStorage.setItem("hil-colours", root.style.colorScheme); } catch { /* not kept, then */ }
  };

  // Times: UTC, as in consoles and plots; the reader's own on hover. Swedish dates are ISO's, as those in lists are.
  for (const time of all("time[datetime]")) {
    const moment = new Date(time.dateTime);
    time.title = `${moment.toLocaleString("sv-SE", { dateStyle: "short", timeStyle: "short" })} your time`;
  }
  if (one("time[datetime]")) one("#zone").textContent = "Times are UTC; a date shows your time on hover.";

  // Tests: by words and by outcome.
  const words = one("#find"), kind = one("#kind");
  const rows = all("[data-o]").map((row) => ({ row, text: [row.closest("section")?.dataset.f, ...all("th, td.mono", row).map((cell) => cell.textContent)].join(" ").toLowerCase(), o: row.dataset.k || row.dataset.o }));
  const told = one("#found");
  const sift = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { row, text, o } of rows) {
      const fits = wanted.every((word) => text.includes(word)) && (!kind.value || o.split(" ").includes(kind.value));
      if (row.hidden === fits) row.hidden = !fits;
      shown += fits;
    }
    for (const part of all(".matrix section, .tests section")) part.hidden = !part.querySelector("tr[data-o]:not([hidden])");
    told.textContent = `${shown} of ${rows.length} ${rows.length === 1 ? 'test' : 'tests'}`;
  };
  if (words && kind) {
    words.oninput = kind.onchange = sift;
    if (location.hash.startsWith("#find=")) {
      try { words.value = decodeURIComponent(location.hash.slice(6)); } catch { /* not a link of ours */ }
      words.scrollIntoView();
    }
    if (words.value || kind.value) sift();
  }

  // A plot over the nights that is wider than the window: its newest night.
  for (const part of all(".over-nights")) part.scrollLeft = part.scrollWidth;

  // The matrix: what a pointer or the arrow keys are on.
  const matrix = one(".matrix"), tip = one("#tip"), nights = all(".nights [data-when]");
  const outcomes = { p: "passed", f: "failed", e: "error", k: "flaky", s: "skipped", x: "expected failure", X: "unexpected pass", ".": "did not run" };
  let at = null;
  const point = (row, number, x, y) => {
    const night = nights[number];
    if (!row || !night) return;
    at?.row.classList.remove("at");
    nights[at?.number]?.querySelector(".all").classList.remove("at");
    at = { row, number };
    row.classList.add("at");
    night.querySelector(".all").classList.add("at");
    const board = JSON.parse(matrix.dataset.boards)[parseInt((row.dataset.b || "")[number], 36)];
    tip.textContent = `${night.dataset.when}: ${outcomes[row.dataset.o[number]]}${board ? ` on ${board}` : ""}`;
    tip.hidden = false;
    tip.style.left = `${Math.max(4, Math.min(x + 12, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${y > innerHeight - 80 ? y - 44 : y + 18}px`;
  };
  const follow = (event) => {
    const strip = event.target.closest(".strip"), row = strip?.closest("tr");
    if (!row) { tip.hidden = true; return; }
    const box = strip.getBoundingClientRect();
    point(row, Math.min(nights.length - 1, Math.floor((event.clientX - box.left) / box.width * nights.length)), event.clientX, event.clientY);
  };
  const open = () => {
    const night = at && nights[at.number];
    if (!night || at.row.dataset.o[at.number] === ".") return;
    const base = night.dataset.folder;
    if (base) location.href = `${base}/tests/${at.row.dataset.s}.html`;
    else if (at.row.querySelector("a")) at.row.querySelector("a").click();
  };
  const step = (event) => {
    const shown = all("tr[data-o]:not([hidden])", matrix);
    const row = at && !at.row.hidden ? shown.indexOf(at.row) : -1;
    const moves = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] };
    if (event.key === "Enter" && event.target === matrix) { open(); return; }
    if (event.key === "Escape") { tip.hidden = true; return; }
    const move = moves[event.key];
    if (!move || !shown.length) return;
    event.preventDefault();
    const next = shown[Math.max(0, Math.min(shown.length - 1, row + move[0]))];
    const number = Math.max(0, Math.min(nights.length - 1, (at ? at.number : nights.length - 1) + move[1]));
    next.scrollIntoView({ block: "nearest" });
    const box = next.querySelector(".strip").getBoundingClientRect();
    point(next, number, box.left + (number + .5) / nights.length * box.width, box.bottom - 10);
  };
  if (matrix) {
    matrix.addEventListener("mousemove", follow);
    matrix.addEventListener("mouseleave", () => { tip.hidden = true; });
    matrix.addEventListener("click", (event) => { if (event.target.closest(".strip")) { follow(event); open(); } });
    matrix.addEventListener("keydown", step);
  }

  // The transcript: search, and the same moment in the power plot.
  const log = one(".log"), sought = one("#sought"), hits = one("#hits"), only = one("#only");
  let found = [], now = -1;
  const show = (step) => {
    found[now]?.classList.remove("now");
    now = found.length ? (now + step + found.length) % found.length : -1;
    found[now]?.classList.add("now");
    found[now]?.scrollIntoView({ block: "center" });
    hits.textContent = sought.value ? `${now + 1} of ${found.length} lines` : "";
  };
  const seek = () => {
    const word = sought.value.toLowerCase();
    for (const line of found) line.classList.remove("hit", "now");
    found = word ? all("li[data-t]", log).filter((line) => line.lastElementChild.textContent.toLowerCase().includes(word)) : [];
    for (const line of found) line.classList.add("hit");
    log.classList.toggle("only", only.checked && Boolean(word));
    now = -1;
    show(1);
  };
  const plots = all("svg.power[data-end]").map((plot) => {
    const [left, right, begin, end] = ["left", "right", "begin", "end"].map((name) => parseFloat(plot.dataset[name]));
    return { plot, left, right, begin, end, cursor: plot.querySelector(".cursor") };
  });
  const mark = (seconds) => {
    for (const { left, right, begin, end, cursor } of plots) {
      const x = left + (seconds - begin) / end * (right - left);
      cursor.setAttribute("visibility", x >= left && x <= right ? "visible" : "hidden");
      if (Number.isFinite(x)) cursor.setAttribute("transform", `translate(${x.toFixed(1)} 0)`);
    }
  };
  if (log) {
    sought.oninput = only.onchange = seek;
    sought.onkeydown = (event) => { if (event.key === "Enter") { event.preventDefault(); show(event.shiftKey ? -1 : 1); } };
    one("#next").onclick = () => show(1);
    one("#before").onclick = () => show(-1);
    log.addEventListener("mouseover", (event) => mark(parseFloat(event.target.closest("li")?.dataset.t)));
  }
  for (const { plot, left, right, begin, end } of log ? plots : []) {
    plot.addEventListener("click", (event) => {
      const box = plot.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * plot.viewBox.baseVal.width;
      const seconds = begin + (x - left) / (right - left) * end;
      const line = all("li[data-t]", log).find((candidate) => parseFloat(candidate.dataset.t) >= seconds);
      mark(seconds);
      line?.scrollIntoView({ block: "center" });
      log.querySelector(".now")?.classList.remove("now");
      line?.classList.add("now");
    });
  }

  // Keys, where nothing is being typed.
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "/") { event.preventDefault(); (words || sought)?.focus(); }
    if (event.key === "t") theme.click();
    if (event.key === "n" && found.length) show(1);
    if (event.key === "N" && found.length) show(-1);
    if (event.key === "m") matrix?.focus();
  });
})();
