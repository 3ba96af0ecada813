"use strict";
// Turns the headers of tables into buttons that sort. Without it, tables stay in the order of the report.
document.querySelector("#sortable")?.removeAttribute("hidden");
for (const table of document.querySelectorAll("table.sort")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const numeric = head.classList.contains("n");
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const was = head.getAttribute("aria-sort");
      const order = was === null ? (numeric ? "descending" : "ascending") : was === "ascending" ? "descending" : "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const text = row => row.cells[column].textContent;
      const value = row => parseFloat(text(row).replaceAll(",", "").replace("Inf", "Infinity"));
      const compare = (a, b) => {
        if (!numeric) return sign * text(a).localeCompare(text(b), "en", { numeric: true });
        const x = value(a), y = value(b);
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
        return x === y ? 0 : sign * (x < y ? -1 : 1);
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}
