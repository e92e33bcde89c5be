// Updates the table in place: rows are known by their id, and only what has changed is written.

export default function ({ data, parentElement, setTriggerValue }) {
  const frame = parentElement.querySelector(".frame");
  const table = frame.querySelector("table");
  frame.style.maxHeight = `${data.height}px`;
  table.setAttribute("aria-label", data.label);
  writeHead(table.tHead, data, setTriggerValue);

  const body = table.tBodies[0];
  const known = new Map([...body.rows].map((row) => [row.dataset.id, row]));
  const wanted = data.rows.map(([id, cells]) => {
    const row = known.get(id) ?? newRow(id, cells, data, setTriggerValue);
    known.delete(id);
    writeRow(row, cells, data);
    return row;
  });
  known.forEach((row) => row.remove());
  wanted.forEach((row, place) => {
    if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] ?? null);
  });
}

function writeHead(head, data, setTriggerValue) {
  writeHeadings(head, data, setTriggerValue);
  const headings = [...head.querySelectorAll("th")];
  headings.forEach((cell, place) => {
    const [column, direction] = data.order ?? [null, ""];
    if (place === column) cell.setAttribute("aria-sort", direction);
    else cell.removeAttribute("aria-sort");
  });
}

function writeHeadings(head, data, setTriggerValue) {
  const labels = data.columns.map(([label]) => label);
  if (head.dataset.labels === JSON.stringify(labels)) return;
  head.dataset.labels = JSON.stringify(labels);
  const row = document.createElement("tr");
  if (data.selectable) {
    const cell = document.createElement("td");
    cell.className = "choice";
    row.append(cell);
  }
  data.columns.forEach(([label, isNumber], place) => {
    const cell = document.createElement("th");
    cell.scope = "col";
    if (data.sortable) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.addEventListener("click", () => setTriggerValue("sorted", place));
      cell.append(button);
    } else {
      cell.textContent = label;
    }
    cell.classList.toggle("number", isNumber);
    row.append(cell);
  });
  head.replaceChildren(row);
}

function newRow(id, cells, data, setTriggerValue) {
  const row = document.createElement("tr");
  row.dataset.id = id;
  if (data.selectable) {
    const radio = document.createElement("input");
    radio.type = "radio";
    radio.name = "selected";
    radio.setAttribute("aria-label", `Select ${cells[0][0]}`);
    radio.addEventListener("change", () => {
      mark(row);
      setTriggerValue("picked", id);
    });
    const cell = document.createElement("td");
    cell.className = "choice";
    cell.append(radio);
    row.append(cell);
    row.classList.add("selectable");
    row.addEventListener("click", (event) => {
      const hasMarkedText = String(window.getSelection() ?? "") !== "";
      if (event.target === radio || radio.checked || hasMarkedText) return;
      radio.click();
    });
  }
  data.columns.forEach(([, isNumber]) => {
    const cell = document.createElement("td");
    cell.classList.toggle("number", isNumber);
    cell.append(document.createElement("span"), document.createElement("small"));
    row.append(cell);
  });
  return row;
}

function writeRow(row, cells, data) {
  const first = data.selectable ? 1 : 0;
  cells.forEach(([text, note, tone], place) => {
    const [main, small] = row.cells[first + place].children;
    if (main.textContent !== text) main.textContent = text;
    const name = tone === "plain" ? "" : `badge ${tone}`;
    if (main.className !== name) main.className = name;
    if (small.textContent !== note) {
      small.textContent = note;
      small.title = note;
    }
  });
  if (data.selectable && row.dataset.id === data.selected) mark(row);
}

function mark(row) {
  const radio = row.querySelector("input");
  if (!radio.checked) radio.checked = true;
  if (row.classList.contains("selected")) return;
  row.parentNode?.querySelectorAll("tr.selected").forEach((other) => other.classList.remove("selected"));
  row.classList.add("selected");
}
