// Adds what is new at the end and drops what has gone at the front; lines that stay are not touched, so that marked text stays.

const NEARLY_AT_END_PX = 24;

export default function ({ data, parentElement }) {
  const log = parentElement.querySelector(".log");
  log.setAttribute("aria-label", data.label);
  log.style.height = `${data.height}px`;

  // Only scrolling decides whether it follows: a window that changes its size moves the end away too.
  log.onscroll = () => {
    log.dataset.follows = log.scrollHeight - log.scrollTop - log.clientHeight < NEARLY_AT_END_PX;
  };
  if (log.dataset.source !== data.source) {
    log.dataset.source = data.source;
    log.dataset.follows = true;
    log.replaceChildren();
  }

  const shown = [...log.children].map((line) => line.dataset.text);
  const wanted = data.lines.map((line) => line.join(" "));
  const gone = firstStillWanted(shown, wanted);
  for (let place = 0; place < gone; place++) log.firstElementChild.remove();
  data.lines.slice(shown.length - gone).forEach((line) => log.append(newLine(line)));
  if (log.dataset.follows === "true") log.scrollTop = log.scrollHeight;
}

function newLine(line) {
  const [time, event, text, level] = line;
  const element = document.createElement("div");
  element.dataset.text = line.join(" ");
  if (level !== "info") element.className = level;
  element.append(part("time", time), " ", part("event", event), " ", text);
  return element;
}

function part(name, text) {
  const element = document.createElement("span");
  element.className = name;
  element.textContent = text;
  return element;
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
