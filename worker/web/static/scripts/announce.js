// Announce: tells those who listen to the page what those who see it see.

/** Say it once, when the reader is done with what it says now. */
export function announce(text) {
  const node = document.getElementById("announcer");
  // The same text twice would not be said twice.
  node.textContent = node.textContent === text ? `${text}\u00a0` : text;
}
