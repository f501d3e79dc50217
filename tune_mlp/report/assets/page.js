/* The page's own code: it unpacks the data, draws the charts, and shows the table of trials. */
"use strict";
(async () => {
  const $ = (id) => document.getElementById(id);

  /* Data: deflated JSON in base64, whose tables are columns; see packed.py. */
  async function unpack(id) {
    const bytes = Uint8Array.from(atob($(id).textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  }
  const FINITE = { inf: Infinity, "-inf": -Infinity };
  function columnOf(held) {
    if (held.codes) return held.codes.map((code) => held.names[code]);
    return held.kind.startsWith("float") ? held.values.map((v) => (v in FINITE ? FINITE[v] : v)) : held.values;
  }
  function tableOf(held) {
    const names = Object.keys(held);
    const columns = names.map((name) => columnOf(held[name]));
    return { names, columns, length: names.length ? columns[0].length : 0 };
  }
  function rowsOf(held) {
    if (Array.isArray(held) || !held.columns) return held;
    const names = Object.keys(held.columns);
    return Array.from({ length: held.rows }, (_, i) => {
      const row = {};
      for (const name of names) {
        const column = held.columns[name];
        row[name] = Array.isArray(column) ? column[i] : column.all;
      }
      return row;
    });
  }
  const [evidence, drawn] = await Promise.all([unpack("evidence"), unpack("figures")]);

  /* Small helpers: elements are made of text, and never of HTML. */
  function make(name, text, attributes) {
    const element = document.createElement(name);
    if (text !== undefined && text !== null) element.textContent = text;
    for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
    return element;
  }
  function written(value) {
    if (value === null || value === undefined || Number.isNaN(value)) return "";
    if (typeof value === "number" && !Number.isInteger(value)) {
      return String(Number(value.toPrecision(4)));
    }
    return Array.isArray(value) ? value.join(", ") : String(value);
  }
  const isNumber = (value) => typeof value === "number";

  /* Looks: the reader's choice, or else that of the system. */
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try { chosen = localStorage.getItem("tune-mlp-look"); } catch (_) { /* a page of a file may have no storage */ }
  const look = () => (chosen || (system.matches ? "dark" : "light"));
  function showLook() {
    if (chosen) document.documentElement.dataset.look = chosen;
    $("look").hidden = false;
    $("look").textContent = look() === "dark" ? "Light" : "Dark";
    $("look").setAttribute("aria-label", "Show the page " + (look() === "dark" ? "light" : "dark"));
  }
  showLook();

  /* Charts: each is as wide as its box; charts of several parts are fitted part by part. */
  const views = new Map();
  let marked = -1;
  const fitted = (name, box) => fitChart(drawn.figures[name].spec, name, box);
  const expanded = new Map();
  function datasets(names) {
    return Object.fromEntries(names.map((name) => {
      if (!expanded.has(name)) expanded.set(name, rowsOf(drawn.datasets[name]));
      return [name, expanded.get(name)];
    }));
  }
  function named(spec, found = new Set()) {
    if (Array.isArray(spec)) spec.forEach((inner) => named(inner, found));
    else if (spec && typeof spec === "object") {
      if (spec.data && spec.data.name in drawn.datasets) found.add(spec.data.name);
      Object.values(spec).forEach((inner) => named(inner, found));
    }
    return [...found];
  }
  async function draw(name) {
    const box = $("chart-" + name);
    const held = drawn.figures[name].spec;
    const spec = fitted(name, box.clientWidth);
    spec.datasets = datasets(named(held));
    const before = views.get(name);
    const { view, finalize } = await vegaEmbed(box, spec, {
      mode: "vega-lite", renderer: "svg", actions: false, config: drawn.looks[look()],
      logLevel: vega.Error, tooltip: { theme: look() === "dark" ? "dark" : "light" },
    });
    box.querySelector("svg").setAttribute("aria-hidden", "true"); // the box has the alternative text
    if (before) before.finalize();
    views.set(name, { view, finalize, width: box.clientWidth });
    view.addEventListener("click", (_, item) => {
      const trial = item && item.datum && (item.datum.trial ?? (item.datum.datum && item.datum.datum.trial));
      if (Number.isInteger(trial)) mark(trial === marked ? -1 : trial);
    });
    if (marked >= 0) await setMark(view);
  }
  async function setMark(view) {
    try { await view.signal("marked", marked).runAsync(); } catch (_) { /* this chart has no trials */ }
  }
  function mark(trial) {
    marked = trial;
    for (const { view } of views.values()) setMark(view);
    showTable();
  }
  const charts = Object.keys(drawn.figures).filter((name) => drawn.figures[name].spec && $("chart-" + name));
  /* Between two charts the page answers its reader. It needn't be painted each time, which takes as long as some charts do. */
  const pause = () => (window.scheduler && scheduler.yield ? scheduler.yield() : new Promise((next) => setTimeout(next)));
  function fromTheView(name) {
    const { top, bottom } = $("chart-" + name).getBoundingClientRect();
    return Math.max(0, top - innerHeight, -bottom);
  }
  /* The charts that the reader sees are drawn first, and then those that are nearest. */
  async function drawAll(names = charts) {
    const distance = Object.fromEntries(names.map((name) => [name, fromTheView(name)]));
    for (const name of [...names].sort((a, b) => distance[a] - distance[b])) {
      try {
        await draw(name);
      } catch (error) {
        $("chart-" + name).textContent = "This chart can't be drawn: " + error.message;
        console.error(error);
      }
      await pause();
    }
    letKeysScroll();
    if (names === charts) document.documentElement.dataset.drawn = "all";
  }
  /* A chart that is wider than its box is scrolled with the keyboard, too. To ask for a width makes the browser lay the page out, so all are asked at once. */
  function letKeysScroll() {
    const wide = new Set(charts.filter((name) => $("chart-" + name).scrollWidth > $("chart-" + name).clientWidth));
    for (const name of charts) {
      if (wide.has(name)) $("chart-" + name).setAttribute("tabindex", "0");
      else $("chart-" + name).removeAttribute("tabindex");
    }
  }
  $("look").addEventListener("click", () => {
    chosen = look() === "dark" ? "light" : "dark";
    try { localStorage.setItem("tune-mlp-look", chosen); } catch (_) { /* it lasts as long as the page */ }
    showLook();
    drawAll();
  });
  system.addEventListener("change", () => { showLook(); drawAll(); });
  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      drawAll(charts.filter((name) => views.has(name) && $("chart-" + name).clientWidth !== views.get(name).width));
    }, 200);
  });

  /* The data of a figure as a table, made when it is opened. */
  const LONGEST = 500;
  for (const details of document.querySelectorAll("details[data-figure]")) {
    details.addEventListener("toggle", () => {
      if (!details.open || details.querySelector("table")) return;
      const held = drawn.figures[details.dataset.figure];
      const table = tableOf(held.data);
      const shown = Math.min(table.length, LONGEST);
      const box = make("div", null, { class: "scroll", tabindex: "0", role: "region", "aria-label": "The data of this figure" });
      box.append(plainTable(table, Array.from({ length: shown }, (_, i) => i)));
      details.append(box);
      if (held.rows > shown) details.append(make("p", `The first ${shown} of ${held.rows} rows.`, { class: "note" }));
    });
  }
  function plainTable(table, rows) {
    const element = make("table");
    const head = make("tr");
    const right = table.columns.map((column) => column.some(isNumber));
    table.names.forEach((name, c) => head.append(make("th", name, right[c] ? { scope: "col", class: "right" } : { scope: "col" })));
    const body = make("tbody");
    for (const r of rows) {
      const row = make("tr");
      table.columns.forEach((column, c) => row.append(make("td", written(column[r]), right[c] ? { class: "right" } : {})));
      body.append(row);
    }
    const top = make("thead");
    top.append(head);
    element.append(top, body);
    return element;
  }

  /* All trials: sorted, filtered, and shown page by page. */
  const trials = tableOf(evidence.trials);
  const at = Object.fromEntries(trials.names.map((name, place) => [name, place]));
  const numbers = trials.columns[at.trial];
  const MOST_COLUMNS = 12;
  const SIZE = 50;
  let sort = { column: drawn.score, down: evidence.mode === "max" };
  let filter = "";
  let only = null;
  let page = 0;
  const varies = (name) => new Set(trials.columns[at[name]].map(String)).size > 1;
  const essential = [
    "trial", "state", "epochs", "seconds", drawn.score,
    ...evidence.parameters.filter((name) => name in at).filter((name, _, all) => all.length <= 4 || varies(name)).slice(0, MOST_COLUMNS),
  ].filter((name) => name in at);
  const columnsShown = () => ($("all-columns").checked ? trials.names : essential);
  const OPERATORS = {
    "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b,
    "=": (a, b) => a === b || String(a) === String(b), "!=": (a, b) => String(a) !== String(b),
  };
  function condition(text) {
    const found = text.match(/^(.*?)\s*(<=|>=|!=|=|<|>)\s*(.*)$/);
    if (found && found[1].trim() in at) {
      const column = trials.columns[at[found[1].trim()]];
      const wanted = found[3] !== "" && !Number.isNaN(Number(found[3])) ? Number(found[3]) : found[3];
      return (i) => column[i] !== null && OPERATORS[found[2]](column[i], wanted);
    }
    const word = text.toLowerCase();
    return (i) => trials.columns.some((column) => column[i] !== null && String(column[i]).toLowerCase().includes(word));
  }
  function matching() {
    const conditions = filter.split(/,|\s+and\s+/).map((part) => part.trim()).filter(Boolean).map(condition);
    const rows = [];
    for (let i = 0; i < trials.length; i++) {
      if ((!only || only.has(numbers[i])) && conditions.every((holds) => holds(i))) rows.push(i);
    }
    const column = trials.columns[at[sort.column]];
    const empty = (value) => value === null || value === undefined || value === "" || Number.isNaN(value);
    return rows.sort((a, b) => {
      const [x, y] = [column[a], column[b]];
      if (empty(x) || empty(y)) return empty(x) - empty(y);
      const order = isNumber(x) && isNumber(y) ? x - y : String(x).localeCompare(String(y), undefined, { numeric: true });
      return sort.down ? -order : order;
    });
  }
  let printing = false;
  function showTable() {
    const rows = matching();
    const last = Math.max(0, Math.ceil(rows.length / SIZE) - 1);
    page = Math.min(page, last);
    const shown = printing ? rows.slice(0, 200) : rows.slice(page * SIZE, (page + 1) * SIZE);
    const names = printing ? essential : columnsShown();
    const element = make("table");
    const head = make("tr");
    for (const name of names) {
      const cell = make("th", null, { scope: "col" });
      if (trials.columns[at[name]].some(isNumber)) cell.className = "right";
      if (sort.column === name) cell.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
      const button = make("button", name + (sort.column === name ? (sort.down ? " ▾" : " ▴") : ""), { type: "button" });
      button.addEventListener("click", () => {
        sort = { column: name, down: sort.column === name ? !sort.down : name === drawn.score && evidence.mode === "max" };
        showTable();
        [...$("trials-table").querySelectorAll("th button")].find((b) => b.textContent.startsWith(name)).focus();
      });
      cell.append(button);
      head.append(cell);
    }
    const body = make("tbody");
    for (const i of shown) {
      const row = make("tr", null, numbers[i] === marked ? { "aria-selected": "true" } : {});
      for (const name of names) {
        const value = trials.columns[at[name]][i];
        const cell = make("td", written(value));
        if (isNumber(value)) cell.className = "right";
        else if (value && String(value).length > 30) cell.title = String(value);
        row.append(cell);
      }
      row.addEventListener("click", () => mark(numbers[i] === marked ? -1 : numbers[i]));
      body.append(row);
    }
    const top = make("thead");
    top.append(head);
    element.append(make("caption", printing && rows.length > 200 ? `The first 200 of ${rows.length} trials` : "All trials"), top, body);
    $("trials-table").replaceChildren(element);
    const from = rows.length ? page * SIZE + 1 : 0;
    const among = rows.length < trials.length ? ` that match, of ${trials.length.toLocaleString("en")}` : "";
    $("rows").textContent = `${from} to ${Math.min(rows.length, (page + 1) * SIZE)} of ${rows.length.toLocaleString("en")} trials${among}`;
    $("previous").disabled = page === 0;
    $("next-page").disabled = page === last;
  }
  $("filter").addEventListener("input", () => { filter = $("filter").value; only = null; page = 0; showTable(); });
  $("all-columns").addEventListener("change", showTable);
  $("previous").addEventListener("click", () => { page--; showTable(); });
  $("next-page").addEventListener("click", () => { page++; showTable(); });
  addEventListener("beforeprint", () => { printing = true; showTable(); });
  addEventListener("afterprint", () => { printing = false; showTable(); });

  /* The table as CSV, of the trials that match the filter. */
  function csvCell(value) {
    if (value === null || value === undefined || Number.isNaN(value)) return "";
    const text = Array.isArray(value) ? JSON.stringify(value) : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }
  $("download").addEventListener("click", () => {
    const lines = [trials.names.map(csvCell).join(",")];
    for (const i of matching()) lines.push(trials.columns.map((column) => csvCell(column[i])).join(","));
    const link = make("a", null, { download: "trials.csv", href: URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" })) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href));
  });

  /* Numbers of the text: they name the trials that they come from, and show their rows. */
  for (const span of document.querySelectorAll("[data-key]")) {
    const from = span.dataset.trials;
    if (!from) continue;
    const states = from.startsWith("state=");
    span.title = from === "all" ? "from all trials" : states ? `from the trials that are ${from.slice(6)}` : `from trial ${from.replaceAll(",", ", ")}`;
    span.addEventListener("click", () => {
      const one = from === "all" || states ? null : from.split(",").map(Number);
      only = one && new Set(one);
      filter = states ? "state = " + from.slice(6) : "";
      $("filter").value = only ? "" : filter;
      page = 0;
      mark(one && one.length === 1 ? one[0] : -1);
    });
  }
  showTable();

  /* A page that is opened at one of its parts stays there, though charts above it grow, until its reader moves. */
  const opened = () => $(decodeURIComponent(location.hash.slice(1)));
  let moved = false;
  for (const act of ["wheel", "touchmove", "keydown", "pointerdown"]) addEventListener(act, () => { moved = true; }, { once: true, passive: true });
  function stay() {
    if (location.hash && opened() && !moved) opened().scrollIntoView({ behavior: "instant" });
  }
  stay();
  await drawAll();
  stay();
})();
