// The report is complete without this: it shows a chart's numbers under the pointer and sorts tables by a column.
"use strict";

const report = JSON.parse(document.getElementById("report-data").textContent);

const inWords = {
  money: (value) => value.toLocaleString("en", report.digits) + " " + report.currency,
  percent: (value) => (value * 100).toFixed(2) + " %",
  ratio: (value) => value.toFixed(2),
};

const day = { year: "numeric", month: "short", day: "numeric", timeZone: report.zone };
const moment = new Intl.DateTimeFormat("en-GB", report.spacing_s >= 86400 ? day : { ...day, hour: "2-digit", minute: "2-digit" });

function made(parent, name, look, text) {
  const found = document.createElement(name);
  if (look) found.className = look;
  if (text !== undefined) found.textContent = text;
  parent.append(found);
  return found;
}

function nearest(times, wanted) {
  let low = 0, high = times.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (times[middle] < wanted) low = middle; else high = middle;
  }
  return wanted - times[low] < times[high] - wanted ? low : high;
}

function watch(plot, chart) {
  const times = chart.t, start = times[0], span = times[times.length - 1] - start || 1;
  const [low, high, isLog] = chart.axis, bent = isLog ? Math.log : (value) => value;
  const hair = made(plot, "div", "hair"), tip = made(plot, "div", "tip");
  const dots = chart.lines.map((line) => made(plot, "div", "dot " + line.look));
  const parts = [hair, tip, ...dots];
  const hide = () => parts.forEach((part) => { part.hidden = true; });

  function show(event) {
    const box = plot.getBoundingClientRect();
    const row = nearest(times, start + (event.clientX - box.left) / box.width * span);
    const across = (times[row] - start) / span;
    parts.forEach((part) => { part.hidden = false; });
    hair.style.left = across * 100 + "%";
    tip.replaceChildren();
    made(tip, "b", "", moment.format(new Date(times[row] * 1000)));
    chart.lines.forEach((line, place) => {
      const value = line.values[row];
      dots[place].hidden = value === null;
      if (value === null) return;
      dots[place].style.left = across * 100 + "%";
      dots[place].style.top = (1 - (bent(value) - bent(low)) / (bent(high) - bent(low))) * 100 + "%";
      const pair = made(tip, "span");
      made(pair, "span", "", line.name);
      made(pair, "span", "", inWords[chart.unit](value));
    });
    const isRight = across > 0.5;
    tip.style.left = isRight ? "" : `calc(${across * 100}% + 12px)`;
    tip.style.right = isRight ? `calc(${(1 - across) * 100}% + 12px)` : "";
  }

  hide();
  plot.addEventListener("pointermove", show);
  plot.addEventListener("pointerdown", show);
  plot.addEventListener("pointerleave", hide);
}

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  const key = (row, column) => {
    const cell = row.cells[column], exact = cell.querySelector("data");
    const text = exact ? exact.value : cell.textContent.replaceAll(",", "");
    return text !== "" && isFinite(text) ? Number(text) : text;
  };
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const falls = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", falls ? "descending" : "ascending");
    const body = table.tBodies[0], rows = [...body.rows].map((row) => [key(row, column), row]);
    rows.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0) * (falls ? -1 : 1));
    body.append(...rows.map(([, row]) => row));
  }));
}

document.querySelectorAll(".plot[data-chart]").forEach((plot) => watch(plot, report.charts[plot.dataset.chart]));
document.querySelectorAll("table.sortable").forEach(sortable);
