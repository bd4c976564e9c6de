"use strict";
/* The register of configs, read from the page once: what a hover text says of a config, and the table of all. */
const register = (() => {
  const { columns, configs } = JSON.parse(document.getElementById("register").textContent);
  const known = new Map(configs.map((config) => [config.id, config]));
  const titles = columns.map(([title]) => title);
  const at = (config, title) => config.cells[titles.indexOf(title)][0];
  const name = (config) => `${at(config, "arm")} · ${at(config, "student")}`;

  /* Plotly reads tags, entities and formulae in its texts: this is how it shows a text as it is. */
  const SIGNS = { "&": "&amp;", "<": "&lt;", ">": "&gt;", $: "&#36;" };
  const plain = (text) => text.replace(/[&<>$]/g, (sign) => SIGNS[sign]);
  const cut = (text) => (text.length > 60 ? `${text.slice(0, 59)}…` : text);

  const hover = (id) => {
    const config = known.get(id);
    if (!config) return "";
    const facts = columns.slice(2, -1).map(([title], i) => [title, config.cells[i + 2][0]]).filter(([, said]) => said);
    const settings = config.point.slice(0, 8).map(([path, value]) => `${path} = ${value}`);
    return [
      `<b>${plain(cut(name(config)))}</b>`, ...facts.map(([title, said]) => plain(cut(`${title}: ${said}`))),
      ...settings.map((line) => plain(cut(line))),
    ].join("<br>");
  };

  const cell = ([text, value, half = null]) => ({ text, value, half });

  /* A row of the table of all configs, as `tables.equip` wants it: its element is made when it is first shown. */
  const row = (config) => {
    let made = null;
    return {
      cells: config.cells.map(cell),
      config: config.id,
      element: () => {
        if (made) return made;
        made = tables.element("tr", { tabIndex: 0 }, ...config.cells.map(([text], i) => {
          const box = tables.element("td", { className: columns[i][1], textContent: text });
          box.dataset.label = titles[i];
          return box;
        }));
        made.dataset.config = config.id;
        tables.listen(made);
        return made;
      },
    };
  };

  const table = document.querySelector("table.sheet[data-given]");
  if (table) tables.equip(table, configs.map(row));
  return { get: (id) => known.get(id), hover, name, titles };
})();
