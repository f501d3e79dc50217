/* The look, light or dark, is set before anything is painted: the reader's choice, or else that of the system. */
"use strict";
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try { chosen = localStorage.getItem("tune-mlp-look"); } catch (_) { /* a browser may keep nothing */ }
  if (chosen) document.documentElement.dataset.look = chosen;
  const look = () => document.documentElement.dataset.look || (system.matches ? "dark" : "light");
  window.look = look;
  const tell = () => dispatchEvent(new Event("look"));
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("look");
    if (!button) return;
    const show = () => {
      button.textContent = look() === "dark" ? "Light" : "Dark";
      button.setAttribute("aria-label", "Show the page " + (look() === "dark" ? "light" : "dark"));
    };
    button.hidden = false;
    show();
    button.addEventListener("click", () => {
      const next = look() === "dark" ? "light" : "dark";
      document.documentElement.dataset.look = next;
      try { localStorage.setItem("tune-mlp-look", next); } catch (_) { /* it lasts as long as the page */ }
      show();
      tell();
    });
    system.addEventListener("change", () => { show(); tell(); });
  });
})();
