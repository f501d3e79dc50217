/* A chart is made as wide as its box; charts of several parts are fitted part by part. The report and the service share this. */
"use strict";
(() => {
  const NARROW = 500;
  /* The least width of charts whose parts stand beside each other; a narrower box scrolls. */
  const ROOM = { importance: 520, parallel_coordinates: 600, strongest_pair: 600, convergence: 440 };
  window.fitChart = (given, name, box) => {
    const spec = structuredClone(given);
    const room = ROOM[name] || 0;
    fit(spec, Math.max(box, room));
    if (box >= room && !parts(spec) && !spec.facet && !facetOf(spec)) {
      spec.width = "container";
    }
    return spec;
  };
  const parts = (spec) => ["hconcat", "vconcat", "concat"].find((name) => spec[name]);
  const facetOf = (spec) => spec.encoding && (spec.encoding.facet || spec.encoding.column || spec.encoding.row);
  function fit(spec, width) {
    const name = parts(spec);
    if (name === "vconcat") spec.vconcat.forEach((part) => fit(part, width - 70));
    else if (name) {
      const count = spec[name].length;
      let columns = name === "hconcat" ? count : spec.columns || count;
      if (width < NARROW) columns = 1;
      else if (width / columns < 230) columns = Math.max(1, Math.floor(width / 230));
      spec.concat = spec[name];
      if (name !== "concat") delete spec[name];
      spec.columns = columns;
      spec.concat.forEach((part) => fit(part, Math.floor(width / columns) - 70));
    } else if (spec.facet && spec.spec) {
      let columns = 1;
      if (!spec.facet.row && !spec.facet.column) {
        columns = Math.max(1, Math.min(spec.columns || 3, Math.floor(width / 220)));
        spec.columns = columns;
      }
      spec.spec.width = Math.floor(width / columns) - 70;
    } else if (facetOf(spec)) {
      const facet = spec.encoding.facet;
      let columns = 1;
      if (facet) {
        columns = Math.max(1, Math.min(facet.columns || 3, Math.floor(width / 220)));
        facet.columns = columns;
      }
      spec.width = Math.floor(width / columns) - 70;
    } else if (typeof spec.width !== "object") spec.width = Math.max(120, width);
  }
})();
