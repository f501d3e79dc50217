/* What all pages share: messages of failed requests, times in the reader's zone, and questions before what can't be undone at once. */
"use strict";
(() => {
  document.documentElement.classList.add("script");
  const said = document.getElementById("said");
  let clearing = 0;

  /* Say something in a corner, and to a screen reader. */
  window.say = (text, fault) => {
    clearTimeout(clearing);
    said.textContent = text;
    said.classList.toggle("fault", Boolean(fault));
    clearing = setTimeout(() => { said.textContent = ""; }, fault ? 12000 : 5000);
  };

  /* A request that failed says why in one line. */
  document.addEventListener("htmx:responseError", (event) => {
    const text = event.detail.xhr.responseText;
    let why = "";
    try { why = JSON.parse(text).error; } catch (_) {
      why = new DOMParser().parseFromString(text, "text/html").querySelector("[data-fault]")?.textContent;
    }
    window.say(why || "The service answered with the status " + event.detail.xhr.status, true);
  });
  document.addEventListener("htmx:sendError", () => window.say("The service can't be reached. This page goes on when it can.", true));
  document.addEventListener("said", (event) => window.say(event.detail.value));

  /* A click is lost where what is under the pointer is replaced between its press and its release, so news waits for the release. */
  let pressed = false;
  let late = new Set();
  addEventListener("pointerdown", () => { pressed = true; }, true);
  for (const kind of ["pointerup", "pointercancel"]) {
    addEventListener(kind, () => {
      pressed = false;
      const waiting = late;
      late = new Set();
      setTimeout(() => waiting.forEach((id) => htmx.trigger("#" + id, "refreshed")));   // after the click
    }, true);
  }
  document.addEventListener("htmx:beforeSwap", (event) => {
    const cause = event.detail.requestConfig.triggeringEvent;   // none, or "refreshed": nobody pressed anything to get this
    if (!pressed || (cause && cause.type !== "refreshed")) return;
    event.detail.shouldSwap = false;
    late.add(event.detail.target.id);
  });

  /* What a page asked for of a study isn't waited for once the study is to be deleted. */
  let leaving = new AbortController();
  window.askFor = (address) => fetch(address, { signal: leaving.signal });
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (!event.detail.requestConfig.path.endsWith("/delete")) return;
    leaving.abort();
    leaving = new AbortController();   // a deletion may be refused: the page goes on
    for (const part of document.querySelectorAll("[hx-get]")) if (part !== event.target) htmx.trigger(part, "htmx:abort");
  });

  /* Times are shown in the reader's zone where they point at one. */
  function localTimes(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (!Number.isNaN(at.getTime())) time.title = at.toLocaleString();
    }
  }
  localTimes(document);
  document.addEventListener("htmx:afterSwap", (event) => localTimes(event.target));

  /* An element of text: what studies say is never HTML. */
  window.make = (name, text, attributes) => {
    const element = document.createElement(name);
    if (text !== undefined && text !== null) element.textContent = text;
    for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
    return element;
  };
  window.colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  /* Load a script when it is needed, once. */
  const loading = new Map();
  window.load = (address) => {
    if (!loading.has(address)) {
      loading.set(address, new Promise((done, failed) => {
        const script = document.createElement("script");
        script.src = address;
        script.addEventListener("load", done);
        script.addEventListener("error", () => failed(new Error("a script can't be loaded")));
        document.head.append(script);
      }));
    }
    return loading.get(address);
  };
})();
