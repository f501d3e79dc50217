/* Charts drawn by Vega: its scripts are loaded once, when a chart comes into view, and its expressions are interpreted, not compiled. */
"use strict";
(() => {
  const scripts = document.currentScript.dataset;
  const shown = new Map();
  const LEAST = 6000;

  async function vega() {
    await load(scripts.vega);
    await load(scripts.vegaLite);
    await Promise.all([load(scripts.vegaEmbed), load(scripts.fit)]);
  }

  /* What a mark stands for is shown as text. */
  let tip = null;
  function tooltip(_, event, __, value) {
    tip?.remove();
    tip = null;
    if (value === null || value === undefined || value === "") return;
    tip = make("div", null, { class: "tip" });
    if (typeof value === "object") {
      const list = make("dl");
      for (const [key, said] of Object.entries(value)) list.append(make("dt", key), make("dd", said));
      tip.append(list);
    } else tip.textContent = String(value);
    document.body.append(tip);
    tip.style.left = Math.max(8, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)) + "px";
    tip.style.top = Math.max(8, event.clientY - tip.offsetHeight - 12) + "px";
  }

  /* A study without a trial that ended has nothing to draw. */
  const hasTrials = () => Number(document.getElementById("head")?.dataset.ended || 0) > 0;

  async function draw(figure) {
    if (!hasTrials()) return;
    const { chart, study } = figure.dataset;
    const box = figure.querySelector(".chart");
    const state = shown.get(figure) || {};
    shown.set(figure, state);
    if (state.busy) { state.again = true; return; }
    state.busy = true;
    const begun = Date.now();
    try {
      const [answer] = await Promise.all([askFor(`/api/studies/${study}/charts/${chart}?theme=${look()}`), vega()]);
      const said = await answer.json();
      if (!answer.ok) throw new Error(said.error);
      figure.querySelector(".finding").textContent = said.finding;
      figure.querySelector("figcaption").textContent = said.specification ? [said.caption, ...said.notes].join(" ") : "";
      box.setAttribute("aria-label", said.title + ". " + said.finding);
      const text = JSON.stringify(said.specification);
      if (text === state.text && state.width === box.clientWidth) return;
      state.text = text;
      state.width = box.clientWidth;
      if (!said.specification) { box.hidden = true; state.view?.finalize(); state.view = null; box.replaceChildren(); return; }
      box.hidden = false;
      const inner = make("div");
      const before = state.view;
      const spec = fitChart(said.specification, chart, box.clientWidth);
      if (spec.width === "container") Object.assign(spec, { width: box.clientWidth, autosize: { type: "fit-x", contains: "padding" } });
      const result = await vegaEmbed(inner, spec, {
        mode: "vega-lite", renderer: "svg", actions: false, ast: true, defaultStyle: false, tooltip, logLevel: vegaErrorsOnly(),
      });
      box.replaceChildren(inner);
      inner.querySelector("svg")?.setAttribute("aria-hidden", "true");
      if (box.scrollWidth > box.clientWidth) box.setAttribute("tabindex", "0"); else box.removeAttribute("tabindex");
      before?.finalize();
      state.view = result;
      result.view.addEventListener("click", (_, item) => {
        const trial = item && item.datum && (item.datum.trial ?? item.datum.datum?.trial);
        if (Number.isInteger(trial)) location.href = `/studies/${study}/trials/${trial}`;
      });
    } catch (error) {
      if (error.name === "AbortError") return;
      figure.querySelector(".finding").textContent = "This chart can't be drawn: " + error.message;
    } finally {
      state.busy = false;
      state.took = Date.now() - begun;
      state.at = Date.now();
      figure.dataset.drawn = "yes";
      if (state.again) { state.again = false; draw(figure); }
    }
  }
  const vegaErrorsOnly = () => window.vega.Error;

  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      target.dataset.inView = isIntersecting ? "yes" : "";
      const state = shown.get(target);
      if (isIntersecting && target.dataset.chart && (!state || state.stale)) { if (state) state.stale = false; draw(target); }
    }
  }, { rootMargin: "200px" });
  const figures = () => [...document.querySelectorAll("figure[data-study]")];
  figures().forEach((figure) => seen.observe(figure));

  /* A study that grew: what is in view is drawn again, at most as often as its drawing allows. */
  addEventListener("grown", (event) => {
    for (const figure of figures()) {
      const state = shown.get(figure) || {};
      if (!figure.dataset.chart) continue;
      const rest = Math.max(LEAST, 5 * (state.took || 0));
      if (!event.detail.last && Date.now() - (state.at || 0) < rest) continue;
      if (figure.dataset.inView) draw(figure); else state.stale = true;
    }
  });
  const redraw = () => figures().forEach((figure) => {
    const state = shown.get(figure);
    if (!state) return;
    state.text = null;
    if (figure.dataset.inView) draw(figure); else state.stale = true;
  });
  addEventListener("look", redraw);
  let waiting = 0;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(redraw, 250); });

  /* Another chart, whose name stands in the page's address. */
  const another = document.getElementById("another");
  another?.addEventListener("change", () => {
    const address = new URL(location.href);
    if (another.value) address.searchParams.set("chart", another.value); else address.searchParams.delete("chart");
    history.pushState({}, "", address);
    choose(another.value);
  });
  addEventListener("popstate", () => {
    if (!another) return;
    another.value = new URL(location.href).searchParams.get("chart") || "";
    choose(another.value);
  });
  function choose(chart) {
    const figure = document.getElementById("another-chart");
    const box = figure.querySelector(".chart");
    figure.dataset.chart = chart;
    delete figure.dataset.drawn;
    shown.get(figure)?.view?.finalize();
    shown.delete(figure);
    box.replaceChildren();
    box.hidden = !chart;
    for (const place of [".finding", "figcaption"]) figure.querySelector(place).textContent = "";
    if (chart) draw(figure);
  }
})();
