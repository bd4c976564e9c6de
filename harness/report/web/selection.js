"use strict";
/* The config that is selected: one for the whole page, named in its address, told in a card, cleared by Escape. */
(() => {
  const card = document.getElementById("chosen");
  const { element } = tables;
  let chosen = null;

  const close = () => {
    const button = element("button", { type: "button", className: "plain", textContent: "Clear" });
    button.addEventListener("click", () => choose(null));
    return button;
  };

  const lines = (rows, heads = null) => {
    const row = (cells, kind) => element("tr", {}, ...cells.map((text) => element(kind, { textContent: text })));
    return element("table", {}, ...(heads ? [row(heads, "th")] : []), ...rows.map((cells) => row(cells, "td")));
  };

  const told = (config) => {
    const facts = register.titles.slice(2, -1).map((title, i) => [title, config.cells[i + 2][0]]).filter(([, said]) => said);
    return [
      element("header", {}, element("h2", { textContent: register.name(config) }), close()),
      lines([...facts, ...config.point]),
      lines(config.trials.map((trial) => trial.slice(0, 5)), ["trial", "seed", "", "val., %", "test, %"]),
      element("p", {}, element("code", { textContent: config.command })),
    ];
  };

  const choose = (id) => {
    const config = id ? register.get(id) : null;
    chosen = config ? id : null;
    card.hidden = !config;
    card.replaceChildren(...(config ? told(config) : []));
    const place = location.href.split("#")[0];
    history.replaceState(null, "", config ? `${place}#config=${chosen}` : place);
    document.dispatchEvent(new CustomEvent("picked", { detail: chosen }));
  };

  document.addEventListener("pick", ({ detail }) => choose(detail === chosen ? null : detail));
  document.addEventListener("keydown", ({ key }) => { if (key === "Escape" && chosen) choose(null); });
  const [, asked] = location.hash.match(/^#config=(\w+)$/) ?? [];
  if (asked) choose(asked);
})();
