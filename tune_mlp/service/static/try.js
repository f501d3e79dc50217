/* Asking the best model: a digit that is drawn, or rows of a table. */
"use strict";
addEventListener("DOMContentLoaded", () => {
  const $ = (id) => document.getElementById(id);
  const study = $("try").dataset.study;

  async function ask(question) {
    const answer = await fetch(`/api/studies/${study}/predict`, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(question),
    });
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.error);
    return said;
  }
  const percent = (share) => (100 * share).toFixed(share > 0.995 && share < 0.9995 ? 1 : 0) + " %";

  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.elt.id !== "model") return;
    if ($("drawing")) drawing();
    if ($("rows-form")) rows();
    document.documentElement.dataset.model = "loaded";
  });

  function drawing() {
    const { height, width, low, high } = $("drawing").dataset;
    const size = Number(height), pad = $("pad"), ctx = pad.getContext("2d", { willReadFrequently: true });
    let asked = 0, timer = 0, lines = [], final = true;

    function wipe() {
      lines = [];
      wipeCanvas(ctx, size);
      asked++;
      for (const id of ["small", "gradient"]) $(id).getContext("2d").clearRect(0, 0, Number(width), size);
      $("answer").textContent = "?";
      $("sure").textContent = "Nothing is drawn yet.";
      for (const item of $("answers").children) tell(item, null, false);
    }
    function tell(item, share, first) {
      item.classList.toggle("first", first);
      item.querySelector("progress").value = share ?? 0;
      item.lastElementChild.textContent = share === null ? "–" : percent(share);
    }
    function stroke(from, to) {
      lines.push([from, to]);
      drawLine(ctx, [from, to]);
      clearTimeout(timer);
      timer = setTimeout(answer, 120);
    }

    /* Mouse, finger and pen. */
    let last = null;
    const at = (event) => {
      const box = pad.getBoundingClientRect();
      return [(event.clientX - box.left) * pad.width / box.width, (event.clientY - box.top) * pad.height / box.height];
    };
    pad.addEventListener("pointerdown", (event) => {
      pad.setPointerCapture(event.pointerId);
      last = at(event);
      stroke(last, last);
    });
    pad.addEventListener("pointermove", (event) => {
      if (!last) return;
      for (const one of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) {
        const next = at(one);
        stroke(last, next);
        last = next;
      }
    });
    for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => { last = null; });

    /* The keyboard: arrows move the pen, Space lowers and lifts it. */
    const STEP = 10, MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    let pen = [pad.width / 2, pad.height / 4], down = false;
    function sayPen() {
      $("pen").textContent = `The pen is ${down ? "down" : "up"} at ${Math.round(100 * pen[0] / pad.width)} % from the left, ${Math.round(100 * pen[1] / pad.height)} % from the top.`;
    }
    pad.addEventListener("keydown", (event) => {
      if (event.key === " ") { down = !down; if (down) stroke(pen, pen); } else if (MOVES[event.key]) {
        const next = pen.map((one, i) => Math.min(pad.width - 10, Math.max(10, one + STEP * MOVES[event.key][i])));
        if (down) stroke(pen, next);
        pen = next;
      } else return;
      event.preventDefault();
      sayPen();
    });

    async function answer() {
      const pixels = digitPixels(lines, size);
      if (!pixels) return;
      const mine = ++asked;
      paint($("small"), pixels.map((value) => [255, 255, 255, 255 * value]));
      const scaled = pixels.map((value) => Number(low) + value * (Number(high) - Number(low)));
      try {
        const { predictions: [found], model } = await ask({ pixels: [scaled], gradient: true });
        if (mine !== asked) return;
        final = model.final;
        show(found, model, pixels);
      } catch (error) {
        if (mine === asked) $("sure").textContent = error.message;
      }
    }
    function show(found, model, pixels) {
      $("answer").textContent = String(found.answer);
      const shares = found.probabilities || [];
      const most = shares.indexOf(Math.max(...shares));
      [...$("answers").children].forEach((item, i) => tell(item, shares[i] ?? 0, i === most));
      $("sure").textContent = shares.length ? `${percent(shares[most])} sure: trial ${model.trial}, epoch ${model.epoch}` : "";
      const gradient = found.gradient || [];
      const top = Math.max(...gradient.map((value) => Math.abs(value || 0))) || 1;
      const more = rgb(colour("category-1")), less = rgb(colour("category-2"));
      paint($("gradient"), gradient.map((value, i) => {
        const share = Math.sqrt(Math.abs(value || 0) / top);
        const ground = 60 * (pixels[i] || 0);
        return [...(value >= 0 ? more : less).map((part) => ground + (part - ground) * share), 255];
      }));
    }
    const rgb = (hex) => [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
    function paint(canvas, colours) {
      const image = new ImageData(canvas.width, canvas.height);
      colours.forEach((one, i) => image.data.set(one, 4 * i));
      canvas.getContext("2d").putImageData(image, 0, 0);
    }
    $("clear").addEventListener("click", () => { wipe(); pad.focus(); });
    wipe();
    setInterval(() => { if (lines.length && !final && !last && !document.hidden) answer(); }, 4000);   // the best may have changed
  }

  function rows() {
    const box = $("rows-answers");
    $("file").addEventListener("change", async () => {
      const [file] = $("file").files;
      if (!file) return;
      if (file.size > 1e6) { box.replaceChildren(make("p", "The file is larger than 1 MB.", { class: "note fault" })); return; }
      $("rows").value = await file.text();
      $("file").value = "";
      $("rows-form").requestSubmit();
    });
    $("rows-form").addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        const { predictions, notes, model } = await ask({ csv: $("rows").value, gradient: true });
        const table = make("table");
        const head = make("tr");
        for (const name of ["row", "answer", ...(model.classes.length ? ["sure"] : []), "what moved it"]) head.append(make("th", name, { scope: "col" }));
        const body = make("tbody");
        predictions.forEach((found, i) => {
          const row = make("tr");
          row.append(make("td", i + 1), make("td", Array.isArray(found.answer) ? found.answer.map(String).join(", ") : typeof found.answer === "number" ? Number(found.answer.toPrecision(5)) : found.answer));
          if (model.classes.length) row.append(make("td", found.probabilities ? percent(Math.max(...found.probabilities)) : ""));
          const moved = (found.gradient || []).map((value, place) => [Math.abs(value || 0), value, model.columns[place] || "input " + (place + 1)])
            .filter(([size]) => size > 0).sort(([a], [b]) => b - a).slice(0, 3).map(([, value, name]) => `${name} ${value >= 0 ? "+" : "−"}`);
          row.append(make("td", moved.join(", ")));
          body.append(row);
        });
        const top = make("thead");
        top.append(head);
        table.append(top, body);
        const scroll = make("div", null, { class: "scroll", tabindex: "0", role: "region", "aria-label": "Answers" });
        scroll.append(table);
        box.replaceChildren(make("h3", predictions.length === 1 ? "1 answer" : predictions.length + " answers"), scroll,
          make("p", "A plus says that a higher value would speak more for the answer, a minus that it would speak less for it.", { class: "sub" }),
          ...notes.map((note) => make("p", note, { class: "note" })));
      } catch (error) {
        box.replaceChildren(make("p", error.message, { class: "note fault" }));
      }
    });
  }
});
