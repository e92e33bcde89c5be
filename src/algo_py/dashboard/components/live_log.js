// Adds what is new at the end and drops what has gone at the front; lines that stay are not touched, so that marked text stays.

const NEARLY_AT_END_PX = 24;

export default function ({ data, parentElement }) {
  const log = parentElement.querySelector(".log");
  log.setAttribute("aria-label", data.label);
  log.style.height = `${data.height}px`;

  const isOther = log.dataset.source !== data.source;
  const follows = isOther || log.scrollHeight - log.scrollTop - log.clientHeight < NEARLY_AT_END_PX;
  log.dataset.source = data.source;

  const shown = isOther ? [] : [...log.children].map((line) => line.textContent);
  const wanted = data.lines.map(([text]) => text);
  const gone = firstStillWanted(shown, wanted);
  for (let place = 0; place < gone; place++) log.firstElementChild?.remove();
  if (isOther) log.replaceChildren();
  data.lines.slice(isOther ? 0 : shown.length - gone).forEach(([text, level]) => {
    const line = document.createElement("div");
    line.textContent = text;
    if (level === "warning" || level === "error" || level === "critical") line.className = level;
    log.append(line);
  });
  if (follows) log.scrollTop = log.scrollHeight;
}

// Return how many of the shown lines come before the wanted ones.
function firstStillWanted(shown, wanted) {
  for (let gone = 0; gone < shown.length; gone++) {
    const rest = shown.length - gone;
    if (rest > wanted.length) continue;
    let same = 0;
    while (same < rest && shown[gone + same] === wanted[same]) same++;
    if (same === rest) return gone;
  }
  return shown.length;
}
