/* A study's page while it runs: its stream of events moves the curves, and tells the other parts when to ask for more. */
"use strict";
(() => {
  const ENDED = ["finished", "stopped", "failed", "interrupted"];
  const AGAIN = 4000;
  const live = document.getElementById("live");
  const name = live.dataset.name;
  const box = document.getElementById("curves");
  let study = { lines: [], epochs: [], total: 0, offset: 0, best: null };
  let byTrial = new Map();
  let waiting = null;   // events that came before the curves
  let chart = null;

  function makeChart() {
    chart = new LineChart(box, { x: "epoch", y: study.metric || "", mode: study.mode, whole: true, open: (line) => `/studies/${name}/trials/${line.trial}` });
  }

  async function fetchCurves() {
    waiting = waiting || [];
    const answer = await askFor(`/studies/${name}/curves`).catch(() => null);   // the stream's next opening asks again
    if (!answer?.ok) { waiting = null; return; }
    study = await answer.json();
    byTrial = new Map(study.lines.map((line) => [line.trial, line]));
    const held = waiting || [];
    waiting = null;
    held.forEach(take);
    if (chart && chart.options.y !== (study.metric || "")) { chart.plot?.destroy(); chart = null; box.replaceChildren(); }
    if (!chart) makeChart();
    show();
  }

  function show() {
    if (!chart) return;
    const lines = study.lines.filter((line) => line.values.length).map((line) => ({
      ...line,
      label: "trial " + line.trial + (line.state === "running" ? ", running" : ", " + line.state),
      more: line.settings,
      kind: line.trial === study.best ? "best" : line.state === "running" ? "running" : "other",
    }));
    chart.options.mode = study.mode;
    chart.show({ xs: study.epochs, lines, band: study.band });
    const best = lines.find((line) => line.kind === "best");
    const running = lines.filter((line) => line.kind === "running").length;
    const entries = [];
    if (best) entries.push(["best", "trial " + best.trial + ", the best"]);
    if (running) entries.push(["running", "running"]);
    entries.push(["other", study.large ? "other leaders" : "other trials"]);
    if (study.band) entries.push(["band", "middle 80 % of all trials"], ["middle", "median"]);
    if (lines.length) lineLegend(document.getElementById("curves-legend"), entries);
    document.getElementById("curves-said").textContent = lines.length
      ? `${study.metric} by epoch of ${study.large ? "the leaders among " : ""}${study.total.toLocaleString("en")} ${study.total === 1 ? "trial" : "trials"}` +
        (best ? `; trial ${best.trial} is the best` : "") + (running ? `; ${running} ${running === 1 ? "trial is" : "trials are"} running.` : ".")
      : "No trial has trained an epoch yet.";
    box.dataset.lines = lines.length;
    box.dataset.points = lines.reduce((sum, line) => sum + line.values.length, 0);
  }

  const takers = {
    trial({ trial, params }) {
      if (byTrial.has(trial)) return;
      study.total++;
      if (study.large) return;
      const settings = Object.entries(params).map(([key, value]) => key.split(".").pop() + " " + (typeof value === "number" ? written(value) : value)).join(", ");
      const line = { trial, state: "running", settings, values: [] };
      study.lines.push(line);
      byTrial.set(trial, line);
    },
    epochs({ trial, epochs }) {
      const line = byTrial.get(trial);
      if (!line || !study.metric) return;
      for (const { epoch, metrics } of epochs) {
        while (study.epochs.length < epoch) study.epochs.push(study.epochs.length + 1);
        line.values.length = Math.min(line.values.length, epoch - 1);   // an epoch that is trained again replaces what followed
        while (line.values.length < epoch - 1) line.values.push(null);
        line.values.push(metrics[study.metric] ?? null);
      }
    },
    ended({ trial, state }) {
      const line = byTrial.get(trial);
      if (line) line.state = state;
    },
  };
  let showing = 0;
  function take({ kind, data, offset }) {
    if (waiting) { waiting.push({ kind, data, offset }); return; }
    if (offset && offset <= study.offset) return;
    if (study.large && kind !== "ended") return;
    takers[kind]?.(data);
    if (!showing) showing = setTimeout(() => { showing = 0; show(); }, 150);
  }

  /* A part asks for news at most so often, and once more after the last. htmx's own throttle would drop the last. */
  const parts = { head: { every: 1500 }, trials: { every: 3000 } };
  function news(id) {
    const part = parts[id];
    if (part.timer || document.hidden) return;
    part.timer = setTimeout(() => {
      part.timer = 0;
      part.last = Date.now();
      htmx.trigger("#" + id, "refreshed");
    }, Math.max(0, (part.last || 0) + part.every - Date.now()));
  }
  document.addEventListener("visibilitychange", () => { if (live.hasAttribute("sse-connect")) Object.keys(parts).forEach(news); });

  /* htmx's extension opens the one stream of this page with this. */
  let asked = 0;
  htmx.createEventSource = (address) => {
    const source = new EventSource(address);
    source.addEventListener("open", fetchCurves);
    for (const kind of ["trial", "epochs", "ended"]) {
      source.addEventListener(kind, (event) => take({ kind, data: JSON.parse(event.data), offset: Number(event.lastEventId) }));
    }
    source.addEventListener("summary", (event) => {
      const summary = JSON.parse(event.data);
      if (!study.metric && summary.metric) { fetchCurves(); return; }
      study.best = summary.best ? summary.best.trial : null;
      document.getElementById("head").dataset.ended = summary.ended_trials;
      show();
      if (study.large && Date.now() - asked > AGAIN) {
        const begun = Date.now();
        asked = begun + 60000;
        fetchCurves().finally(() => { asked = Date.now() + 4 * (Date.now() - begun); });
      }
      news("head");
      news("trials");
      dispatchEvent(new CustomEvent("grown", { detail: summary }));
      if (ENDED.includes(summary.state)) finish(source);
    });
    return source;
  };
  function finish(source) {
    source.close();
    setTimeout(() => {
      htmx.trigger("#head", "refreshed");
      htmx.trigger("#trials", "refreshed");
      fetchCurves();
      dispatchEvent(new CustomEvent("grown", { detail: { last: true } }));
      document.documentElement.dataset.live = "ended";
    }, 300);
  }

  /* After a button: a page that has no stream yet gets one by being loaded anew. */
  document.body.addEventListener("changed", () => {
    document.querySelectorAll("#head details[open]").forEach((panel) => { panel.open = false; });
    if (!live.hasAttribute("sse-connect") || document.documentElement.dataset.live === "ended") setTimeout(() => location.reload(), 600);
  });

  /* A study may go on before the page has heard that it stopped: then its stream is over, and the page needs a new one. */
  document.body.addEventListener("htmx:afterSwap", () => {
    const state = document.getElementById("head")?.dataset.state;
    if (document.documentElement.dataset.live === "ended" && state && !ENDED.includes(state)) location.reload();
  });

  /* A panel that is open isn't closed by news. */
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target.id === "head" && event.detail.target.querySelector("details[open]")) event.detail.shouldSwap = false;
  });
  addEventListener("DOMContentLoaded", () => { if (!live.hasAttribute("sse-connect")) fetchCurves(); });
})();
