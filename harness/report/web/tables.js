"use strict";
/* Tables that sort, filter and copy.

   Every `table.sheet` gets a toolbar: a filter, copies of the rows that are shown as CSV, LaTeX and Markdown, and,
   on a phone, a choice of the column to sort by. `data-value` is what a cell sorts by and what a CSV holds,
   `data-half` half the width of its interval. A row with `data-config` fires `pick` and listens to `picked`. */
const tables = (() => {
  const isNarrow = matchMedia("screen and (max-width: 720px)").matches;
  const PAGE = isNarrow ? 8 : 60, PAGE_OF_MANY = isNarrow ? 8 : 25;
  const STEP = isNarrow ? 50 : 500;

  const read = (cell) => ({
    text: cell.textContent,
    value: "value" in cell.dataset ? Number(cell.dataset.value) : null,
    half: "half" in cell.dataset ? Number(cell.dataset.half) : null,
  });

  const element = (kind, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(kind), properties);
    made.append(...children);
    return made;
  };

  /* Numbers before texts, nothing last, whichever the direction. */
  const compare = (a, b, way) => {
    if ((a.text === "") !== (b.text === "")) return a.text === "" ? 1 : -1;
    if (a.value !== null && b.value !== null) return way * (a.value - b.value);
    if ((a.value === null) !== (b.value === null)) return a.value === null ? 1 : -1;
    return way * a.text.localeCompare(b.text, "en", { numeric: true });
  };

  /* Every word of the filter must stand in the row; `-word` must not. */
  const matcher = (words) => {
    const asked = words.toLowerCase().split(/\s+/).filter(Boolean);
    const holds = (row, word) => {
      row.words ??= row.cells.map(({ text }) => text).join(" ").toLowerCase();
      return row.words.includes(word);
    };
    return (row) => asked.every((word) =>
      word.startsWith("-") && word.length > 1 ? !holds(row, word.slice(1)) : holds(row, word));
  };

  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  const csv = (columns, rows) => {
    const halves = columns.map((_, i) => rows.some((row) => row.cells[i].half !== null));
    const spread = (of) => of.flatMap((text, i) => (halves[i] ? text : [text[0]]));
    const head = spread(columns.map(({ title }) => [title, `${title} ±`]));
    const body = rows.map((row) => spread(row.cells.map(({ text, value, half }) => [value ?? text, half ?? ""])));
    return [head, ...body].map((line) => line.map((cell) => quoted(String(cell))).join(",")).join("\n") + "\n";
  };

  const LATEX = {
    "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "±": "$\\pm$", "−": "$-$", "–": "--",
    "µ": "\\textmu{}", "×": "$\\times$", "·": "$\\cdot$", "Δ": "$\\Delta$", "<": "$<$", ">": "$>$",
  };
  const texed = (text) => text.replace(/[\\~^±−–µ×·Δ<>&%$#_{}]/g, (sign) => LATEX[sign] ?? `\\${sign}`);

  const latex = (columns, rows) => {
    const line = (cells) => `${cells.map(texed).join(" & ")} \\\\`;
    return [
      `\\begin{tabular}{${columns.map(({ kind }) => (kind === "number" ? "r" : "l")).join("")}}`, "\\toprule",
      line(columns.map(({ title }) => title)), "\\midrule",
      ...rows.map((row) => line(row.cells.map(({ text }) => text))), "\\bottomrule", "\\end{tabular}", "",
    ].join("\n");
  };

  const marked = (text) => text.replace(/[\\`*_{}[\]<>|#~]/g, (sign) => `\\${sign}`);

  const markdown = (columns, rows) => {
    const line = (cells) => `| ${cells.join(" | ")} |`;
    return [
      line(columns.map(({ title }) => marked(title))),
      line(columns.map(({ kind }) => (kind === "number" ? "--:" : ":--"))),
      ...rows.map((row) => line(row.cells.map(({ text }) => marked(text)))), "",
    ].join("\n");
  };

  const FORMATS = { CSV: csv, LaTeX: latex, Markdown: markdown };

  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {  // a page from a disk may not use the clipboard in every browser
      const area = element("textarea", { value: text });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  };

  const pick = (config) => document.dispatchEvent(new CustomEvent("pick", { detail: config }));

  const listen = (row) => {
    const { config } = row.dataset;
    if (!config) return;
    row.addEventListener("click", () => { if (!String(getSelection())) pick(config); });
    row.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      pick(config);
    });
  };

  /* Turns a table into one with tools. `given` are rows that are not in the page yet: cells, config and a maker. */
  const equip = (table, given = null) => {
    const heads = [...table.tHead.rows[0].cells];
    const columns = heads.map((head) => ({ title: head.textContent, kind: head.className }));
    const body = table.tBodies[0];
    const rows = given ?? [...body.rows].map((row) => {
      listen(row);
      return { cells: [...row.cells].map(read), config: row.dataset.config, element: () => row };
    });
    let sorted = { column: null, way: 1 }, words = "", limit = given ? PAGE_OF_MANY : PAGE, chosen = null;

    const shown = () => {
      const kept = rows.filter(matcher(words));
      if (sorted.column !== null) kept.sort((a, b) => compare(a.cells[sorted.column], b.cells[sorted.column], sorted.way));
      return kept;
    };
    const more = element("button", { type: "button", className: "plain" });
    const said = element("span", { role: "status" });
    const render = () => {
      const kept = shown(), visible = kept.slice(0, limit);
      body.replaceChildren(...visible.map((row) => row.element()));
      for (const row of body.rows) row.classList.toggle("picked", row.dataset.config === chosen);
      more.hidden = kept.length <= limit;
      more.textContent = `Show ${Math.min(STEP, kept.length - limit)} more of ${kept.length}`;
      said.textContent = kept.length < rows.length ? `${kept.length} of ${rows.length} rows` : "";
      heads.forEach((head, i) => {
        if (i === sorted.column) head.setAttribute("aria-sort", sorted.way > 0 ? "ascending" : "descending");
        else head.removeAttribute("aria-sort");
      });
    };
    const sort = (column, way) => { sorted = { column, way }; render(); };

    heads.forEach((head, i) => {
      const button = element("button", { type: "button", title: "Sort by this column" }, ...head.childNodes);
      button.addEventListener("click", () => sort(i, sorted.column === i ? -sorted.way : 1));
      head.append(button);
    });
    const filter = element("input", { type: "search", placeholder: "Filter rows, such as ksan -w4" });
    filter.setAttribute("aria-label", "Filter rows");
    filter.addEventListener("input", () => { words = filter.value; render(); });
    const choice = element("select", {}, element("option", { textContent: "Sort by …", value: "" }));
    choice.setAttribute("aria-label", "Sort by");
    columns.forEach(({ title }, i) => ["▲", "▼"].forEach((sign, k) =>
      choice.append(element("option", { textContent: `${title} ${sign}`, value: `${i} ${k ? -1 : 1}` }))));
    choice.addEventListener("change", () => { if (choice.value) sort(...choice.value.split(" ").map(Number)); });
    const copies = Object.entries(FORMATS).map(([name, format]) => {
      const button = element("button", { type: "button", className: "plain", textContent: name, title: `Copy as ${name}` });
      button.addEventListener("click", async () => {
        const kept = shown();
        await copy(format(columns, kept));
        said.textContent = `${kept.length} rows copied as ${name}`;
      });
      return button;
    });
    more.addEventListener("click", () => { limit += STEP; render(); });
    const tools = element("div", { className: "tools" }, ...(rows.length > 3 ? [filter, choice] : []), "Copy as", ...copies, said);
    table.closest(".scroll").before(tools);
    table.closest(".scroll").after(more);
    document.addEventListener("picked", ({ detail }) => {
      chosen = detail;
      for (const row of body.rows) row.classList.toggle("picked", row.dataset.config === chosen);
    });
    render();
  };

  document.querySelectorAll("table.sheet:not([data-given])").forEach((table) => equip(table));
  return { equip, listen, element };
})();
