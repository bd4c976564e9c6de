"use strict";
/* Draws the page's figures: when they come near, in the colours of the theme, and once more for paper.

   A figure's JSON lies beside its place, one for each choice that its section offers. Traces with `customdata` carry
   ids of configs: their hover texts come from the register, a click on a mark fires `pick`, and the config that
   `picked` names is ringed. `layout.meta.lines` says that a config is a line and not a mark; a figure with a
   `layout.meta.group` and no ids of its own shows the curves of the selected config's trials. */
const figures = (() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const mouse = matchMedia("(pointer: fine)");
  let webGl = null;
  const hasWebGl = () => (webGl ??= Boolean(document.createElement("canvas").getContext("webgl")));
  const drawn = new Map();
  let chosen = null, isPrinting = false;

  const ink = () => getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();

  const source = (place) => {
    const all = [...place.parentElement.querySelectorAll("script[type='application/json']")];
    return JSON.parse((all.find((one) => one.dataset.choice === place.dataset.choice) ?? all[0]).textContent);
  };

  /* Config → where its marks lie. */
  const marks = (data) => {
    const found = new Map();
    for (const { x, y, customdata } of data) {
      customdata?.forEach((id, i) => {
        if (!id) return;
        if (!found.has(id)) found.set(id, []);
        found.get(id).push([x[i], y[i]]);
      });
    }
    return found;
  };

  const overlay = (isLine, isGl) => ({
    type: isGl ? "scattergl" : "scatter", x: [], y: [], mode: isLine ? "lines+markers" : "markers", showlegend: false,
    hoverinfo: "skip", name: "selected", line: { width: 3, color: ink() },
    marker: { symbol: "circle-open", size: isLine ? 9 : 17, color: ink(), line: { width: 2.5 } },
  });

  /* What the overlay shows of the selected config. */
  const traced = ({ points, group }) => {
    const config = chosen && register.get(chosen);
    if (!config) return [];
    if (points.size || config.group !== group) return points.get(chosen) ?? [];
    return config.curves.flatMap(([epochs, values]) => [...epochs.map((epoch, i) => [epoch, values[i]]), [null, null]]);
  };

  const mark = (place) => {
    const found = traced(drawn.get(place));
    if (!found.length && !drawn.get(place).isMarked) return;
    drawn.get(place).isMarked = found.length > 0;
    const [x, y] = [0, 1].map((axis) => found.map((point) => point[axis]));
    Plotly.restyle(place, { x: [x], y: [y] }, [place.data.length - 1]);
  };

  const draw = (place) => {
    if (drawn.has(place)) return;
    const { data, layout } = source(place);
    const points = marks(data), group = layout.meta?.group;
    const isGl = data.some(({ type }) => type === "scattergl") && hasWebGl();
    for (const trace of data) {
      if (trace.type === "scattergl" && !isGl) trace.type = "scatter";
      if (!trace.customdata || trace.text) continue;
      trace.text = trace.customdata.map((id) => (id ? register.hover(id) : ""));
      trace.hovertemplate = "%{text}<extra></extra>";
    }
    const isCurves = group && !points.size;
    data.push(overlay(layout.meta?.lines || isCurves, isGl));
    if (isCurves) data.at(-1).mode = "lines";
    drawn.set(place, { points, group, isGl, isMarked: false });
    layout.font.color = ink();
    layout.dragmode = mouse.matches ? "zoom" : false;
    Plotly.newPlot(place, data, layout, {
      responsive: true, displaylogo: false, displayModeBar: mouse.matches ? "hover" : false,
      modeBarButtons: [["toImage", "resetScale2d"]], toImageButtonOptions: { format: "svg" },
    });
    place.on("plotly_click", ({ points: [{ customdata }] }) => {
      if (typeof customdata === "string") document.dispatchEvent(new CustomEvent("pick", { detail: customdata }));
    });
    mark(place);
  };

  const drop = (place) => {
    if (!drawn.delete(place)) return;
    Plotly.purge(place);
  };

  /* Arrow keys step through a figure's configs from left to right. */
  const step = (event) => {
    const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const { points } = drawn.get(event.currentTarget) ?? { points: new Map() };
    if (!way || !points.size) return;
    event.preventDefault();
    const order = [...points].sort(([, [a]], [, [b]]) => a[0] - b[0] || a[1] - b[1]).map(([id]) => id);
    const next = chosen && points.has(chosen) ? order.indexOf(chosen) + way : way > 0 ? 0 : order.length - 1;
    const id = order[(next + order.length) % order.length];
    document.dispatchEvent(new CustomEvent("pick", { detail: id }));
  };

  const places = [...document.querySelectorAll(".plot")];
  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) draw(target);
      else if (drawn.get(target)?.isGl && !isPrinting) drop(target);  // a browser keeps only some 16 WebGL contexts
    }
  }, { rootMargin: "300px" });
  places.forEach((place) => { near.observe(place); place.addEventListener("keydown", step); });

  document.addEventListener("picked", ({ detail }) => { chosen = detail; drawn.forEach((_, place) => mark(place)); });

  document.querySelectorAll(".choices").forEach((choices) => choices.addEventListener("change", ({ target }) => {
    choices.closest("section").querySelectorAll(".plot").forEach((place) => {
      if (![...place.parentElement.querySelectorAll("script")].some((one) => one.dataset.choice === target.value)) return;
      place.dataset.choice = target.value;
      if (drawn.has(place)) { drop(place); draw(place); }
    });
  }));

  const recolour = () => drawn.forEach((_, place) => {
    Plotly.relayout(place, { "font.color": ink() });
    Plotly.restyle(place, { "line.color": ink(), "marker.color": ink() }, [place.data.length - 1]);
  });
  dark.addEventListener("change", recolour);

  const WIDE = 680, NARROW = 330;  // pixels of a page of A4 within its margins, and of half of it
  addEventListener("beforeprint", () => {
    isPrinting = true;
    document.querySelectorAll("details").forEach((fold) => { fold.open = true; });
    places.forEach(draw);
    drawn.forEach((_, place) => Plotly.relayout(place, {
      width: place.closest(".wide") ? WIDE : NARROW, "font.color": "#000",
    }));
  });
  addEventListener("afterprint", () => {
    isPrinting = false;
    drawn.forEach((_, place) => Plotly.relayout(place, { width: null, autosize: true, "font.color": ink() }));
  });
  return { drawn, places };
})();
