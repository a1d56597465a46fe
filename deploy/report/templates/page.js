"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const figures = read("figures");
  const { plots, themes } = read("plots");
  const dark = matchMedia("(prefers-color-scheme: dark)");

  // The interpreter (ast) needs no eval, which the page's policy forbids.
  async function draw() {
    const options = {
      ast: true,
      renderer: "svg",
      actions: { export: true, source: false, compiled: false, editor: false },
      config: themes[dark.matches ? "dark" : "light"],
      tooltip: { theme: dark.matches ? "dark" : "light" },
    };
    for (const place of document.querySelectorAll("[data-plot]")) {
      const name = place.dataset.plot;
      await vegaEmbed(place, plots[name], { ...options, downloadFileName: name });
    }
    document.documentElement.dataset.drawn = dark.matches ? "dark" : "light";
  }

  function compare(a, b) {
    if (a === b) return 0;
    // What is not known comes last, in both directions.
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en");
  }

  function sortable(table) {
    const rows = figures.tables[table.dataset.table].rows;
    const body = table.tBodies[0];
    const pairs = [...body.rows].map((row, index) => [row, rows[index]]);
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, place) =>
      head.firstElementChild.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const known = (value) => value !== null && value !== "";
        pairs.sort(([, a], [, b]) => {
          const [one, other] = [a[place], b[place]];
          if (known(one) !== known(other)) return known(one) ? -1 : 1;
          return (down ? -1 : 1) * compare(one, other);
        });
        body.append(...pairs.map(([row]) => row));
      }),
    );
  }

  function save(name, text, type) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  function csv({ columns, rows }) {
    const cell = (value) => {
      const text = value === null ? "" : String(value);
      // A spreadsheet takes words that begin so for a formula.
      const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
      return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
    };
    return [columns, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
  }

  function show() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) {
      target.open = true;
      target.scrollIntoView();
    }
  }

  document.querySelectorAll("[data-table]").forEach(sortable);
  document.querySelectorAll("[data-csv]").forEach((button) =>
    button.addEventListener("click", () => {
      const name = button.dataset.csv;
      save(`${name}.csv`, csv(figures.tables[name]), "text/csv");
    }),
  );
  document
    .querySelector("[data-json]")
    .addEventListener("click", () => save("report.json", JSON.stringify(figures), "application/json"));
  addEventListener("hashchange", show);
  show();
  dark.addEventListener("change", draw);
  draw();
})();
