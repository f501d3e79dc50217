/* The editor of a study: numbers of lines, the line that is wrong, and a check after each change. */
"use strict";
addEventListener("DOMContentLoaded", () => {
  const $ = (id) => document.getElementById(id);
  const lines = $("lines");
  let timer = 0;

  function number() {
    const count = $("text").value.split("\n").length;
    const wrong = Number($("forecast").dataset.line || 0);
    lines.replaceChildren(...Array.from({ length: count }, (_, i) => make("li", i + 1, i + 1 === wrong ? { class: "wrong" } : {})));
    $("text").rows = Math.min(40, Math.max(16, count + 1));
    lines.scrollTop = $("text").scrollTop;
    const path = $("forecast").dataset.path || "";
    for (const field of document.querySelectorAll("#form [data-path]")) {
      const is = path && (path === field.dataset.path || path.startsWith(field.dataset.path + "."));
      if (is) field.setAttribute("aria-invalid", "true"); else field.removeAttribute("aria-invalid");
    }
    if (wrong) $("text").setAttribute("aria-invalid", "true"); else $("text").removeAttribute("aria-invalid");
  }
  function check(after) {
    clearTimeout(timer);
    timer = setTimeout(() => htmx.trigger("#forecast", "check"), after);
  }
  document.addEventListener("input", (event) => {
    if (event.target.id !== "text") return;
    number();
    check(700);
  });
  document.addEventListener("scroll", (event) => { if (event.target.id === "text") lines.scrollTop = event.target.scrollTop; }, true);
  document.addEventListener("htmx:oobAfterSwap", (event) => { if (event.detail.target.id === "text") { number(); check(300); } });
  document.addEventListener("htmx:afterSettle", number);

  /* Tab leaves the editor, as it leaves all fields; the link of an error leads to its line. */
  document.addEventListener("click", (event) => {
    if (event.target.id !== "go-to-line") return;
    event.preventDefault();
    const text = $("text"), line = Number($("forecast").dataset.line);
    const rows = text.value.split("\n");
    const from = rows.slice(0, line - 1).reduce((sum, row) => sum + row.length + 1, 0);
    text.focus();
    text.setSelectionRange(from, from + (rows[line - 1] || "").length);
  });

  /* A parameter that is chosen is added. */
  document.addEventListener("htmx:configRequest", (event) => {
    const { elt, parameters } = event.detail;
    if (elt.dataset.add) {
      const name = elt.value;
      parameters.delete("add-choice");
      if (name) parameters.append("add", name); else event.preventDefault();
    } else if (elt.id === "form") {
      parameters.set("changed", event.detail.triggeringEvent.target.name);
    } else if (elt.name === "remove") parameters.set("remove", elt.value);
  });

  $("space").addEventListener("change", () => { if ($("space").value) $("choose-space").requestSubmit(); });
  number();
  if (!$("forecast").dataset.checked) check(50);
});
