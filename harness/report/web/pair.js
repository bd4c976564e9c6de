/* Two rows side by side, with their paired test: looked up among the tests that the page was made with. */
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const rows = read("rows"), tests = read("tests");
  const box = document.getElementById("pair");
  const title = box.querySelector("h2"), verdict = document.getElementById("verdict");
  const body = box.querySelector("tbody");
  let chosen = [];

  const percent = (fraction) => (fraction === null ? "–" : (100 * fraction).toFixed(2));
  const list = (values) => values.join(", ");
  const FACTS = {
    "student": (row) => row.student,
    "arm": (row) => row.arm,
    "study": (row) => row.study,
    "test, %": (row) => (row.low === null
      ? `${percent(row.accuracy)}, no interval` : `${percent(row.accuracy)} [${percent(row.low)}, ${percent(row.high)}]`),
    "each seed, %": (row) => list(row.seeds.map(({ seed, accuracy }) => `${seed}: ${percent(accuracy)}`)),
    "parameters": (row) => row.params.toLocaleString("en"),
    "multiply-adds": (row) => row.macs.toLocaleString("en"),
    "tuning": (row) => `${row.tuning_trials} trials, ${row.tuning_seconds.toFixed(1)} s of training`,
    "looks at test": (row) => `${row.looks}`,
    "lanes": (row) => list(row.lanes.map(({ lane, rank }) => `${lane} (rank ${rank})`)),
    "verified": (row) => (row.verified
      ? `${row.verified.holds ? "" : "REFUSED at "}level ${row.verified.level}, ${row.verified.date}: ${row.verified.said}` : "not yet"),
    "spec": (row) => row.row,
    "data": (row) => row.data_fingerprint.slice(0, 16),
    "teacher": (row) => list([row.teacher, row.teacher_digest.slice(0, 16)].filter(Boolean)) || "none",
    "weights": (row) => list(row.seeds.filter(({ weights }) => weights).map(({ seed, weights }) => `${seed}: ${weights.slice(0, 12)}`)) || "not recorded",
    "made with": (row) => Object.entries(row.versions).map(([name, value]) => `${name} ${value}`).join(", "),
    "repeat": (row) => `harness verify --row ${row.row} --level 2`,
  };

  const tested = (a, b) => {
    const [first, second] = `${a} ${b}` in tests ? [a, b] : [b, a];
    const test = tests[`${first} ${second}`];
    if (!test) return "These two are not in one lane, or share no seed: no test compares them.";
    const [difference, interval, p, n] = test;
    const name = (key) => `${rows[key].arm} on ${rows[key].student}`;
    return `${name(first)} minus ${name(second)}: ${difference} points ${interval}, ${p}, `
      + `paired over ${n} common seed${n === "1" ? "" : "s"}, uncorrected.`;
  };

  const show = () => {
    document.querySelectorAll("tr[data-config]").forEach((row) => {
      row.classList.toggle("compared", chosen.includes(row.dataset.config));
      row.setAttribute("aria-selected", chosen.includes(row.dataset.config));
    });
    box.hidden = chosen.length === 0;
    title.textContent = chosen.length === 2 ? "Two rows" : "One row";
    verdict.textContent = chosen.length === 2 ? tested(...chosen) : "Choose a second row to compare it with.";
    body.replaceChildren(...Object.entries(FACTS).map(([name, fact]) => tables.element("tr", {},
      tables.element("th", { scope: "row", textContent: name }),
      ...chosen.map((key) => tables.element("td", { textContent: fact(rows[key]) })))));
  };

  document.addEventListener("pick", ({ detail }) => {
    chosen = chosen.includes(detail) ? chosen.filter((key) => key !== detail) : [...chosen, detail].slice(-2);
    show();
  });
  const close = () => { chosen = []; show(); };
  document.getElementById("close").addEventListener("click", close);
  addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
})();
