/* The list of studies: it asks for the rows that changed, and remembers which were picked for a comparison. */
"use strict";
(() => {
  const EVERY = 2000;
  const picked = new Set();
  let asking = false;

  async function ask() {
    const list = document.getElementById("studies");
    if (document.hidden || asking || !list) return;
    const seen = [...list.querySelectorAll("tr[data-name]")].map((row) => row.dataset.name + ":" + row.dataset.digest);
    const query = list.dataset.query === "?" ? "?" : list.dataset.query + "&";
    asking = true;
    try {
      await htmx.ajax("GET", "/parts/studies" + query + "seen=" + encodeURIComponent(seen.join(",")), { target: "#studies", swap: "outerHTML" });
    } catch (_) { /* htmx has said so */ } finally { asking = false; }
  }
  setInterval(ask, EVERY);
  document.addEventListener("refreshed", ask);
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.requestConfig.verb === "post") ask();
  });

  function show() {
    const form = document.getElementById("compare");
    for (const box of document.querySelectorAll("#studies input[name=study]")) box.checked = picked.has(box.value);
    const absent = [...picked].filter((name) => !document.getElementById("pick-" + name));
    form.querySelectorAll("input[type=hidden]").forEach((one) => one.remove());
    for (const name of absent) form.append(make("input", null, { type: "hidden", name: "study", value: name }));
    form.hidden = picked.size < 1;
    document.getElementById("picked").textContent = picked.size === 1 ? "1 study is picked: pick one more at least." : picked.size + " studies are picked.";
    form.querySelector("button").disabled = picked.size < 2 || picked.size > 10;
  }
  document.addEventListener("change", (event) => {
    if (event.target.name !== "study") return;
    if (event.target.checked) picked.add(event.target.value); else picked.delete(event.target.value);
    show();
  });
  document.addEventListener("htmx:afterSettle", show);
  document.querySelectorAll("#studies input[name=study]:checked").forEach((box) => picked.add(box.value));
  show();
})();
