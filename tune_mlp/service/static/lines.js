/* A chart of many lines, drawn by uPlot: thousands of points, with the line under the pointer named. */
"use strict";
(() => {
  const FINE = (value) => value !== null && value !== undefined && Number.isFinite(value);

  /* Digits that a reader can tell apart at an axis. */
  function written(value) {
    if (!FINE(value)) return "";
    const size = Math.abs(value);
    if (size !== 0 && (size < 0.001 || size >= 1e6)) return value.toExponential(2);
    return String(Number(value.toPrecision(5)));
  }

  /* The range in which values are shown: a few values that are far worse than the others are left outside. */
  function range(lines, mode) {
    const values = [];
    for (const line of lines) for (const value of line.values) if (FINE(value)) values.push(value);
    if (!values.length) return [0, 1];
    values.sort((a, b) => a - b);
    const at = (share) => values[Math.round(share * (values.length - 1))];
    let low = values[0], high = values[values.length - 1];
    if (values.length > 20) {
      if (mode === "max") low = Math.max(low, at(0.03) - 0.5 * (high - at(0.03)));
      if (mode === "min") high = Math.min(high, at(0.97) + 0.5 * (at(0.97) - low));
    }
    const room = (high - low) * 0.05 || Math.abs(high) * 0.05 || 0.5;
    return [low - room, high + room];
  }

  class LineChart {
    /* options: {x, y: titles, mode, whole: x has whole numbers, label: line => text, open: line => address} */
    constructor(box, options) {
      this.box = box;
      this.options = options;
      this.data = { xs: [], lines: [], band: null };
      this.near = null;
      this.tip = null;
      this.plot = null;
      this.pending = 0;
      new ResizeObserver(() => this.fit()).observe(box);
      addEventListener("look", () => this.remake());
    }

    fit() {
      const width = this.box.clientWidth;
      if (this.plot && width && Math.abs(width - this.plot.width) > 1) this.plot.setSize({ width, height: this.height() });
    }

    height() { return this.options.height || (this.box.clientWidth < 500 ? 240 : 340); }

    /* Show these lines: {key, values, kind}; kinds are best, running, other and numbers from 1, which are categories. */
    show(data) {
      this.data = data;
      if (this.pending) return;
      this.pending = requestAnimationFrame(() => {
        this.pending = 0;
        if (this.plot) this.update(); else this.remake();
      });
    }

    update() {
      this.plot.setData(this.table());
    }

    table() {
      const { xs } = this.data;
      const x = xs.length === 0 ? [1, 2] : xs.length === 1 ? [xs[0], xs[0] + 1] : xs;
      return [x, x.map(() => null)];
    }

    remake() {
      this.plot?.destroy();
      const quiet = colour("quiet"), grid = colour("line");
      const font = "12px " + getComputedStyle(document.body).fontFamily;
      const axis = { stroke: quiet, font, labelFont: font, labelSize: 22, ticks: { stroke: grid, size: 4 }, grid: { stroke: grid, width: 1 } };
      const { options } = this;
      this.plot = new uPlot({
        width: Math.max(200, this.box.clientWidth),
        height: this.height(),
        legend: { show: false },
        cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
        scales: { x: { time: false }, y: { range: () => options.range || range([...this.data.lines, ...this.bandLines()], options.mode) } },
        axes: [
          { ...axis, label: options.x, size: 34, labelGap: 0, grid: { show: false }, incrs: options.whole ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 100000] : undefined, values: (_, ticks) => ticks.map(written) },
          { ...axis, label: options.y, size: 62, values: (_, ticks) => ticks.map(written) },
        ],
        series: [{}, { show: true, points: { show: false } }],
        hooks: { draw: [() => this.draw()], setCursor: [() => this.point()], ready: [(plot) => this.listen(plot)] },
      }, this.table(), this.box);
    }

    bandLines() {
      const { band } = this.data;
      return band ? [{ values: band.low }, { values: band.high }] : [];
    }

    style(kind) {
      if (kind === "best") return { stroke: colour("accent"), width: 2.5, alpha: 1 };
      if (kind === "running") return { stroke: colour("second"), width: 1.25, alpha: 0.9 };
      if (typeof kind === "number") return { stroke: colour("category-" + (((kind - 1) % 8) + 1)), width: 2, alpha: 1, dash: DASHES[Math.floor((kind - 1) / 4) % DASHES.length] };
      return { stroke: colour("muted"), width: 1, alpha: this.data.lines.length > 60 ? 0.3 : 0.55 };
    }

    draw() {
      const { plot } = this;
      const { ctx } = plot;
      const { left, top, width, height } = plot.bbox;
      const ratio = devicePixelRatio || 1;
      ctx.save();
      ctx.beginPath();
      ctx.rect(left, top, width, height);
      ctx.clip();
      if (this.data.band) this.drawBand(ctx, ratio);
      const order = { other: 0, running: 1, best: 3 };
      const lines = [...this.data.lines].sort((a, b) => (order[a.kind] ?? 2) - (order[b.kind] ?? 2));
      for (const line of lines) this.drawLine(ctx, line, this.style(line.kind), ratio);
      if (this.near) this.drawLine(ctx, this.near, { stroke: colour("text"), width: 2, alpha: 1 }, ratio);
      ctx.restore();
    }

    drawBand(ctx, ratio) {
      const { xs, band } = this.data;
      const at = (x, y) => [this.plot.valToPos(x, "x", true), this.plot.valToPos(y, "y", true)];
      ctx.beginPath();
      let begun = false;
      xs.forEach((x, i) => {
        if (!FINE(band.high[i])) return;
        const [px, py] = at(x, band.high[i]);
        if (begun) ctx.lineTo(px, py); else ctx.moveTo(px, py);
        begun = true;
      });
      for (let i = xs.length - 1; i >= 0; i--) if (FINE(band.low[i])) ctx.lineTo(...at(xs[i], band.low[i]));
      ctx.closePath();
      ctx.globalAlpha = 0.16;
      ctx.fillStyle = colour("accent");
      ctx.fill();
      this.drawLine(ctx, { values: band.middle }, { stroke: colour("quiet"), width: 1.5, alpha: 1, dash: [5, 4] }, ratio);
    }

    drawLine(ctx, line, style, ratio) {
      const xs = line.xs || this.data.xs;
      ctx.globalAlpha = style.alpha;
      ctx.strokeStyle = style.stroke;
      ctx.lineWidth = style.width * ratio;
      ctx.lineJoin = "round";
      ctx.setLineDash((style.dash || []).map((length) => length * ratio));
      ctx.beginPath();
      let begun = false, count = 0, last = null, before = null;
      for (let i = 0; i < line.values.length; i++) {
        if (!FINE(line.values[i])) { begun = false; continue; }
        const x = this.plot.valToPos(xs[i], "x", true), y = this.plot.valToPos(line.values[i], "y", true);
        if (!begun) ctx.moveTo(x, y);
        else if (this.options.steps) { ctx.lineTo(x, before); ctx.lineTo(x, y); } else ctx.lineTo(x, y);
        begun = true;
        count++;
        last = [x, y];
        before = y;
      }
      ctx.stroke();
      ctx.setLineDash([]);
      if (last && (count === 1 || line.kind === "best" || typeof line.kind === "number")) {
        ctx.beginPath();
        ctx.arc(last[0], last[1], (count === 1 && line.kind === "other" ? 2 : 3.5) * ratio, 0, 7);
        ctx.fillStyle = style.stroke;
        ctx.fill();
      }
      ctx.globalAlpha = 1;
    }

    /* The line that is nearest to the pointer. */
    point() {
      const { left, top } = this.plot.cursor;
      let near = null, least = 24 * 24;
      if (left >= 0) {
        for (const line of this.data.lines) {
          const xs = line.xs || this.data.xs;
          line.values.forEach((value, i) => {
            if (!FINE(value)) return;
            const dx = this.plot.valToPos(xs[i], "x") - left, dy = this.plot.valToPos(value, "y") - top;
            if (dx * dx + dy * dy < least) { least = dx * dx + dy * dy; near = { ...line, at: i, line }; }
          });
        }
      }
      const same = near?.line === this.near?.line && near?.at === this.near?.at;
      this.near = near;
      if (!same) this.plot.redraw(false);
      this.name(near);
    }

    name(near) {
      if (!near) { this.tip?.remove(); this.tip = null; this.plot.over.classList.remove("points"); return; }
      if (!this.tip) { this.tip = make("div", null, { class: "tip" }); document.body.append(this.tip); }
      const xs = near.xs || this.data.xs;
      this.tip.replaceChildren(make("b", near.label), make("div", `${this.options.x} ${written(xs[near.at])}: ${written(near.values[near.at])}`));
      if (near.more) this.tip.append(make("div", near.more, { class: "quiet" }));
      const box = this.plot.over.getBoundingClientRect();
      const x = box.left + this.plot.cursor.left, y = box.top + this.plot.cursor.top;
      const wide = this.tip.offsetWidth;
      this.tip.style.left = Math.max(8, Math.min(x + 14, innerWidth - wide - 8)) + "px";
      this.tip.style.top = Math.max(8, y - this.tip.offsetHeight - 12) + "px";
      this.plot.over.classList.toggle("points", Boolean(this.options.open));
    }

    listen(plot) {
      plot.over.addEventListener("click", () => {
        if (this.near && this.options.open) location.href = this.options.open(this.near);
      });
      plot.over.addEventListener("mouseleave", () => { this.near = null; this.name(null); plot.redraw(false); });
    }
  }
  const DASHES = [[], [7, 4], [2, 3]];

  /* An entry of a legend: a sample of the line beside its name. */
  function legend(list, entries) {
    const SVG = "http://www.w3.org/2000/svg";
    list.replaceChildren(...entries.map(([name, text]) => {
      const item = make("li");
      const sample = document.createElementNS(SVG, "svg");
      sample.setAttribute("width", "24");
      sample.setAttribute("height", "10");
      sample.setAttribute("aria-hidden", "true");
      const line = document.createElementNS(SVG, name === "band" ? "rect" : "line");
      const plain = typeof name === "number" ? { kind: "c" + ((name - 1) % 8 + 1), dash: DASHES[Math.floor((name - 1) / 4) % DASHES.length] } : { kind: name, dash: [] };
      const shape = name === "band" ? { width: 24, height: 10 } : { x1: 0, x2: 24, y1: 5, y2: 5, "stroke-dasharray": plain.dash.join(" ") || (name === "middle" ? "5 4" : "none") };
      for (const [key, value] of Object.entries({ ...shape, class: "sample " + plain.kind })) line.setAttribute(key, value);
      sample.append(line);
      item.append(sample, text);
      return item;
    }));
  }
  window.LineChart = LineChart;
  window.lineLegend = legend;
  window.written = written;
})();
