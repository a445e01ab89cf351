// Tables of a report: a click on a head sorts by that column, again: the other way round.
const numberIn = (text) => {
  const found = /[-+]?(\d[\d,]*\.?\d*|\.\d+)(e[-+]?\d+)?/i.exec(text);
  return found ? Number(found[0].replaceAll(",", "")) : NaN;
};
for (const table of document.querySelectorAll(".table table")) {
  const body = table.tBodies[0];
  if (body.rows.length < 2) continue;
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.onclick = () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const numbers = head.classList.contains("number");
      const key = (row) => (numbers ? numberIn(row.cells[column].textContent) : row.cells[column].textContent);
      const rows = [...body.rows].map((row, place) => ({ row, place, key: key(row) }));
      const gone = (value) => (Number.isNaN(value) ? 1 : 0); // cells without a number stay at the end
      rows.sort((a, b) => {
        const order = numbers ? a.key - b.key || 0 : a.key.localeCompare(b.key, "en", { numeric: true });
        return gone(a.key) - gone(b.key) || (down ? -order : order) || a.place - b.place;
      });
      body.append(...rows.map(({ row }) => row));
    };
  });
}
